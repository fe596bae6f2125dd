"""Arrays made to fit whole tiles, and results cut back."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Padded(NamedTuple):
    """Arrays of whole tiles; what was added neither changes a state nor has one.

    Args:
        decay: with decay 1 in steps that were added.
        arrays: with zeros in them.
        steps, width: before.
    """

    decay: jax.Array
    arrays: tuple[jax.Array, ...]
    steps: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Batch, steps and width after."""
        batch, steps, width = self.decay.shape
        return batch, steps, width

    def cut(self, array: jax.Array) -> jax.Array:
        """The part of a result that was asked for."""
        return array[:, : self.steps, : self.width]

    def wide(self, state: jax.Array) -> jax.Array:
        """A state [B, D] at the padded width."""
        return jnp.pad(state, [(0, 0), (0, self.shape[2] - self.width)])


def tile(length: int, most: int, unit: int) -> int:
    """The length of tiles, a multiple of `unit` and at most `most`, that adds least to `length`."""
    tiles = -(-length // most)
    return -(-length // (tiles * unit)) * unit


def padded(decay: jax.Array, *arrays: jax.Array, steps: int, lanes: int) -> Padded:
    """Pads axis 1 to a multiple of `steps` and axis 2 of `lanes`; copies only where that adds."""
    _, time, width = decay.shape
    added = [(0, 0), (0, -time % steps), (0, -width % lanes)]
    if not any(after for _, after in added):
        return Padded(decay, arrays, time, width)
    zeros = (jnp.pad(array, added) for array in arrays)
    return Padded(jnp.pad(decay, added, constant_values=1), tuple(zeros), time, width)
