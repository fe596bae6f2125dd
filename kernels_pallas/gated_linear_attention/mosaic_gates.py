"""Gates as the Pallas forms take them: for every token, in whole chunks, restarts among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

NEVER = -1e30
"""A log decay that forgets everything, finite so that sums of it stay numbers."""

CHANNEL, ROW, NONE = "channel", "row", "none"
"""A gate for every channel, one for every row, none."""

SCHEMES = {CHANNEL: "levels", ROW: "masked", NONE: "none"}
"""What `cost` calls the way in which the Pallas forms make scores."""


def whole_chunks(arrays: Sequence[jax.Array | None], chunk: int) -> list[Any]:
    """[B, T, ...] with zeros after the last token up to whole chunks: they change no state."""

    def padded(array: jax.Array | None) -> jax.Array | None:
        if array is None:
            return None
        spare = -array.shape[1] % chunk
        return jnp.pad(array, [(0, spare if axis == 1 else 0) for axis in range(array.ndim)])

    return [padded(array) for array in arrays]


def gate_kind(log_decay: jax.Array | None, segments: jax.Array | None) -> str:
    """Which of CHANNEL, ROW and NONE the kernel sees."""
    if log_decay is None:
        return NONE if segments is None else ROW
    return CHANNEL if log_decay.ndim == 4 else ROW


def full_gates(
    log_decay: jax.Array | None, segments: jax.Array | None, shape: tuple[int, ...]
) -> jax.Array | None:
    """Gates for every token [B, T, H, ...]; one that forgets all stands where a segment starts.

    Args:
        log_decay: [B, T, H, K], [B, T, H], [H] or None.
        segments: number of each token's segment [B, T], or None.
        shape: of q.
    """
    if log_decay is None:
        if segments is None:
            return None
        log_decay = jnp.zeros(shape[:3], jnp.float32)
    if log_decay.ndim == 1:
        log_decay = jnp.broadcast_to(log_decay, shape[:3])
    if segments is None:
        return log_decay
    return jnp.where(
        starts(segments, log_decay.ndim), jnp.array(-jnp.inf, log_decay.dtype), log_decay
    )


def starts(segments: jax.Array, ndim: int) -> jax.Array:
    """Where the state restarts from zero, with axes of one up to `ndim`."""
    found = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)))
    return jnp.expand_dims(found, range(2, ndim))


def as_given(
    d_gates: jax.Array | None,
    log_decay: jax.Array | None,
    segments: jax.Array | None,
    time: int,
) -> jax.Array | None:
    """The gradient in the shape and dtype of `log_decay`; a gate hidden by a restart gets zero."""
    if log_decay is None or d_gates is None:
        return None
    found = d_gates[:, :time]
    if segments is not None:
        found = jnp.where(starts(segments, found.ndim), 0.0, found)
    return (found.sum((0, 1)) if log_decay.ndim == 1 else found).astype(log_decay.dtype)
