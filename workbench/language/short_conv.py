"""The short convolution along time that recurrent layers put before their keys and values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int


class ShortConv(nnx.Module):
    """y_t = silu(sum_j w_j * x_{t-size+1+j} + b), each channel by itself (Fu et al. 2023, 3.1).

    Computed in float32, returned in the dtype of x. The first weights are uniform in
    +- size^-1/2, as torch's convolutions have theirs.

    Args:
        width: channels D.
        size: tokens that one output sees, itself included.
        bias: whether there is b.
        activation: whether there is the silu.
        rngs: seeds of the initial weights.
    """

    def __init__(
        self,
        width: int,
        size: int = 4,
        *,
        bias: bool = False,
        activation: bool = True,
        rngs: nnx.Rngs,
    ):
        draw = size**-0.5 * jax.random.uniform(rngs.params(), (size, 1, width), minval=-1)
        self.kernel = nnx.Param(draw)
        self.bias = nnx.Param(jnp.zeros(width)) if bias else None
        self.activation = activation

    def __call__(
        self,
        x: Float[Array, "B T D"],
        state: Float[Array, "B S D"] | None = None,
        segment_ids: Int[Array, "B T"] | None = None,
    ) -> tuple[Float[Array, "B T D"], Any]:
        """T tokens that follow those of `state`.

        Args:
            x: inputs.
            state: the size - 1 inputs before x, from `initial_state`, this or `step`; None for a
                text's beginning, of which no state is wanted.
            segment_ids: nothing passes where the number changes; a state belongs to the first.

        Returns:
            y, and the inputs that the next call needs [B, S, D] (None where no state was given).
        """
        size, time = self.kernel.shape[0], x.shape[1]
        before = self.initial_state(x.shape[0]) if state is None else state
        inputs = jnp.concatenate([before, x.astype(jnp.float32)], axis=1)
        segments = None
        if segment_ids is not None:
            changes = segment_ids[:, 1:] != segment_ids[:, :-1]
            segments = jnp.pad(jnp.cumsum(changes, axis=1), ((0, 0), (size, 0)))
        y = jnp.zeros(x.shape, jnp.float32)
        for j in range(size):
            seen = inputs[:, j : j + time]
            if segments is not None:
                same = segments[:, j : j + time] == segments[:, size - 1 :]
                seen = jnp.where(same[..., None], seen, 0.0)
            y = y + self.kernel[j][None] * seen
        if state is None:
            return self._activated(y, x.dtype), None
        after = inputs[:, time:]
        if segments is not None:
            after = jnp.where((segments[:, time:] == segments[:, -1:])[..., None], after, 0.0)
        return self._activated(y, x.dtype), after

    def initial_state(self, batch: int) -> Float[Array, "B S D"]:
        """Zeros, float32: what stands before the first token."""
        size, _, width = self.kernel.shape
        return jnp.zeros((batch, size - 1, width))

    def step(
        self, x: Float[Array, "B D"], state: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B D"], Float[Array, "B S D"]]:
        """One more token."""
        inputs = jnp.concatenate([state, x[:, None].astype(jnp.float32)], axis=1)
        y = jnp.sum(inputs * self.kernel[...].swapaxes(0, 1), axis=1)
        return self._activated(y, x.dtype), inputs[:, 1:]

    def _activated(self, y: Array, dtype: jnp.dtype) -> Array:
        if self.bias is not None:
            y = y + self.bias[...].reshape((1,) * (y.ndim - 1) + (-1,))
        return (jax.nn.silu(y) if self.activation else y).astype(dtype)
