"""The linear layer of MatMul-free LM (Zhu et al. 2024, arXiv 2406.02528), as released."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int8

from kernels_pallas import bit_linear
from kernels_pallas.dtypes import accumulator
from workbench.language.linear import RMSNorm

EPS = 1e-6
"""What the released kernel adds to the mean square; the 1e-8 its module declares never gets
there."""
FLOOR = 1e-5
"""The least absolute maximum of a row and mean of a matrix."""


class BitLinear(nnx.Module):
    """y = round(127 n / max|n|) round(W / mean|W|), scaled back, n = RMSNorm(x) (section 3.2).

    Activations are rounded to int8 for each row, weights to -1, 0, 1 with one scale a matrix;
    gradients pass both rounders as if they were not there.

    Args:
        features_in, features_out: sizes.
        bias: whether one is added; the released models have none.
        dtype: of the input the product is formed from; weights are float32.
        rngs: seeds of the initial weights, N(0, `deviation`^2).
        eps: of its own norm.
        fused: the form that keeps its input alone for the backward pass, or the plain one, which
            keeps every array in between: for comparing their memory.
    """

    def __init__(
        self,
        features_in: int,
        features_out: int,
        *,
        bias: bool = False,
        dtype: Any,
        rngs: Any,
        deviation: float = 0.02,
        eps: float = EPS,
        fused: bool = True,
    ):
        shape = (features_in, features_out)
        self.kernel = nnx.Param(deviation * jax.random.normal(rngs.params(), shape))
        self.norm = RMSNorm(features_in, eps=eps)
        self.bias = nnx.Param(jnp.zeros(features_out)) if bias else None
        self.dtype, self.fused = dtype, fused

    def __call__(self, x: Float[Array, "... N"]) -> Float[Array, "... M"]:
        """The product, in `dtype`."""
        x = x.astype(self.dtype)
        if self.fused:
            y = bit_linear(x, self.kernel[...], self.norm.scale[...], eps=self.norm.eps)
        else:
            y = unfused(self.norm(x), self.kernel[...])
        if self.bias is None:
            return y
        bias = self.bias[...].astype(self.dtype)
        return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)

    def quantized(self) -> tuple[Int8[Array, "N M"], Float[Array, ""]]:
        """The matrix as it multiplies: -1, 0, 1, and what they stand for."""
        return ternary(self.kernel[...])


def ternary(weight: Float[Array, "N M"]) -> tuple[Int8[Array, "N M"], Float[Array, ""]]:
    """clip(round(W / s), -1, 1) and s = max(mean|W|, 1e-5), halves rounded to even."""
    wide = weight.astype(accumulator(weight.dtype))
    scale = jnp.maximum(jnp.mean(jnp.abs(wide)), jnp.asarray(FLOOR, wide.dtype))
    signs = jnp.clip(jnp.round(wide * (jnp.asarray(1, wide.dtype) / scale)), -1, 1)
    return signs.astype(jnp.int8), scale


def unfused(normed: Float[Array, "... N"], weight: Float[Array, "N M"]) -> Float[Array, "... M"]:
    """The product as one writes it: both operands rounded and scaled back, then multiplied."""
    kind = normed.dtype
    top = jnp.max(jnp.abs(normed), axis=-1, keepdims=True)
    scale = jnp.asarray(127, kind) / jnp.maximum(top, jnp.asarray(FLOOR, kind))
    rounded = jnp.clip(jnp.round(normed * scale), -128, 127) / scale
    signs, size = ternary(weight)
    taken = (signs.astype(size.dtype) * size).astype(weight.dtype)
    x, w = _straight_through(normed, rounded), _straight_through(weight, taken)
    return x @ w.astype(kind)


def _straight_through(value: Array, rounded: Array) -> Array:
    """`rounded`, with the gradient of `value`."""
    return value + jax.lax.stop_gradient(rounded - value)
