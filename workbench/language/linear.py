"""Projections and norms."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from kernels_pallas.dtypes import accumulator


class MakeLinear(Protocol):
    """Makes a projection: `Linear`, or one that stores or multiplies otherwise."""

    def __call__(
        self, features_in: int, features_out: int, *, bias: bool = False, dtype: Any, rngs: Any
    ) -> Any: ...


class Linear(nnx.Module):
    """y = x W + b.

    Args:
        features_in, features_out: sizes.
        bias: whether there is b.
        dtype: of the product; the weights are float32.
        rngs: seeds of the initial weights, N(0, `deviation`^2).
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
    ):
        shape = (features_in, features_out)
        self.kernel = nnx.Param(deviation * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(features_out)) if bias else None
        self.dtype = dtype

    def __call__(self, x: Float[Array, "... N"]) -> Float[Array, "... M"]:
        """The product, in `dtype`."""
        y = product(x.astype(self.dtype), self.kernel[...].astype(self.dtype))
        if self.bias is None:
            return y
        bias = self.bias[...].astype(self.dtype)
        return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def product(
    x: Float[Array, "... N"], weights: Float[Array, "N M"], *, preferred: Any = None
) -> Float[Array, "... M"]:
    """x W, with x as one matrix.

    The weights' gradient is then a product of matrices too; over several axes XLA on CPU brings its
    operands into that form by slow copies. `benchmarks/training_step.py` times it.
    """
    rows = x.reshape(-1, x.shape[-1])
    y = jnp.matmul(rows, weights, preferred_element_type=preferred)
    return y.reshape(*x.shape[:-1], weights.shape[1])


def dense(linear: MakeLinear) -> MakeLinear:
    """Makes what stays dense beside projections of `linear`: with its deviation, where it has one.

    Args:
        linear: makes the other projections; `functools.partial` of a class, or the class.
    """
    deviation = linear.keywords.get("deviation") if isinstance(linear, partial) else None
    return Linear if deviation is None else partial(Linear, deviation=deviation)


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + eps) * scale over the last axis (Zhang & Sennrich 2019, eq. 4).

    Args:
        width: of the last axis.
        eps: added to the mean square.
    """

    def __init__(self, width: int, *, eps: float):
        self.scale = nnx.Param(jnp.ones(width))
        self.eps = eps

    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        """Computed in float32, returned in the dtype of `x`."""
        wide = x.astype(accumulator(x.dtype))
        mean_square = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
        scale = self.scale[...].astype(wide.dtype)
        scale = scale.reshape((1,) * (x.ndim - 1) + scale.shape)
        return (wide * jax.lax.rsqrt(mean_square + self.eps) * scale).astype(x.dtype)
