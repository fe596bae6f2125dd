"""Batch norm with its running statistics, and layer norm over channels."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.vision.layers import along_channels
from workbench.vision.observing import seen

MOMENTUM = 0.1
"""Share of the new batch in the running statistics."""


class BatchNorm(nnx.Module):
    """γ (x - μ) / sqrt(σ² + ε) + β by channel (Ioffe & Szegedy 2015, algorithms 1 and 2).

    Training takes μ and σ² of the batch and moves the running ones towards them; inference takes
    the running ones. Computed in float32.

    Args:
        channels: of the input.
        eps: ε.
        dtype: of the result.
    """

    def __init__(self, channels: int, *, eps: float, dtype: Any):
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.running_mean = nnx.BatchStat(jnp.zeros((channels,), jnp.float32))
        self.running_var = nnx.BatchStat(jnp.ones((channels,), jnp.float32))
        self.eps, self.dtype = eps, dtype

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B H W C"]:
        """The normalised pictures.

        Args:
            x: pictures.
            training: the step's random numbers; None for inference.
        """
        wide = x.astype(jnp.float32)
        mean, var = self.running_mean[...], self.running_var[...]
        if training is not None:
            mean, var = jnp.mean(wide, axis=(0, 1, 2)), jnp.var(wide, axis=(0, 1, 2))
            self._follow(mean, var, wide.size // wide.shape[-1])
        scale = self.scale[...] * jax.lax.rsqrt(var + self.eps)
        offset = self.bias[...] - mean * scale
        y = wide * along_channels(scale, x, jnp.float32) + along_channels(offset, x, jnp.float32)
        return seen(self, x, y.astype(self.dtype))

    def _follow(self, mean: Array, var: Array, values: int) -> None:
        """Running statistics, of the variance without bias."""
        fair = var * (values / max(values - 1, 1))
        for running, new in ((self.running_mean, mean), (self.running_var, fair)):
            kept = jax.lax.stop_gradient(new)
            running[...] = (1 - MOMENTUM) * running[...] + MOMENTUM * kept


class FoldedNorm(nnx.Module):
    """Nothing, where a batch norm was before it became part of its convolution."""

    unwritable = (
        "this model's batch norms are folded and cannot be written; save it before they are"
    )

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B H W C"]:
        """x.

        Raises:
            ValueError: a training step, which needs the batch's statistics.
        """
        if training is not None:
            raise ValueError("training: this model's batch norms are folded; train it before")
        return x


class LayerNorm(nnx.Module):
    """γ (x - mean) / sqrt(var + ε) + β over channels (Ba et al. 2016, eq. 4), in float32.

    Args:
        channels: of the input.
        eps: ε.
        dtype: of the result.
    """

    def __init__(self, channels: int, *, eps: float, dtype: Any):
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.eps, self.dtype = eps, dtype

    def __call__(
        self, x: Float[Array, "*B C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "*B C"]:
        """The normalised pixels, the same in training and inference."""
        wide = x.astype(jnp.float32)
        away = wide - jnp.mean(wide, axis=-1, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.mean(away * away, axis=-1, keepdims=True) + self.eps)
        scale, bias = (along_channels(v[...], x, jnp.float32) for v in (self.scale, self.bias))
        return seen(self, x, (away * inverse * scale + bias).astype(self.dtype))
