"""LoRA on kernels of a UNet: W + (alpha / r) A B (Hu et al. 2022, section 4.1).

A convolution's W is a matrix of all its taps by its outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from workbench.model_files.keys import names

PAPERS_LAYERS = ("to_q", "to_v")
"""Of TiUE's fake score."""


@dataclass(frozen=True)
class LowRank:
    """Which kernels are moved, and how far.

    Attributes:
        rank: r; TiUE takes 64 for widths of 320 to 1280. Ours for widths of 64 and 96: 8.
        alpha: TiUE takes 108; alpha / r is the same here.
        layers: last names of the layers whose kernels are moved; all kernels where empty. TiUE's
            are `PAPERS_LAYERS`; the outer level of a small UNet has no attention, so that its
            fake score must move the convolutions too (ours).
    """

    rank: int = 8
    alpha: float = 13.5
    layers: tuple[str, ...] = ()

    def init(self, weights: Any, key: Array) -> dict[str, tuple[Array, Array]]:
        """A ~ N(0, 1 / inputs) and B = 0 for each kernel: at first nothing is moved.

        Raises:
            ValueError: a UNet without such layers.
        """
        chosen = {name: leaf for name, leaf in named(weights) if self._moves(name)}
        if not chosen:
            raise ValueError(f"teacher has none of the layers {', '.join(self.layers)} to adapt")
        found = {}
        for (name, leaf), one in zip(
            chosen.items(), jax.random.split(key, len(chosen)), strict=True
        ):
            *fan, outputs = leaf.shape
            inputs = math.prod(fan)
            first = jax.random.normal(one, (inputs, self.rank)) * inputs**-0.5
            found[name] = (first, jnp.zeros((self.rank, outputs)))
        return found

    def moved(self, weights: Any, trained: dict[str, tuple[Array, Array]]) -> Any:
        """The weights with these products added."""
        tree = jax.tree.structure(weights)
        leaves = [
            leaf + self._product(*trained[name]).reshape(leaf.shape) if name in trained else leaf
            for name, leaf in named(weights)
        ]
        return jax.tree.unflatten(tree, leaves)

    def _product(self, a: Array, b: Array) -> Array:
        return (self.alpha / self.rank) * (a @ b)

    def _moves(self, name: str) -> bool:
        *_, layer, kind = name.split(".")
        return kind == "kernel" and (not self.layers or layer in self.layers)


def named(weights: Any) -> list[tuple[str, Any]]:
    """Leaves with their names, such as `mid_block.resnets.0.conv1.kernel`."""
    paths = jax.tree_util.tree_flatten_with_path(weights)[0]
    return [(".".join(str(part) for part in names(path)), leaf) for path, leaf in paths]
