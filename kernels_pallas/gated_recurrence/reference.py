"""The gated recurrence as it is defined, one step at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def gated_recurrence(
    decay: jax.Array, x: jax.Array, initial: jax.Array, *, reverse: bool = False
) -> jax.Array:
    """h_t = f_t h_{t-1} + x_t over axis 1, from the last step to the first if `reverse`.

    Args:
        decay: f [B, T, D].
        x: [B, T, D].
        initial: h_0 [B, D], in the dtype that h is carried in.
        reverse: h_t = f_t h_{t+1} + x_t instead, and `initial` is the state after the last step.
    """

    def step(h: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        f, add = (one.astype(h.dtype) for one in inputs)
        h = f * h + add
        return h, h.astype(x.dtype)

    along = jnp.moveaxis(decay, 1, 0), jnp.moveaxis(x, 1, 0)
    return jnp.moveaxis(jax.lax.scan(step, initial, along, reverse=reverse)[1], 0, 1)
