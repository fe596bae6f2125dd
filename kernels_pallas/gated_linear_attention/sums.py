"""Sums of log gates inside a chunk, as products with 0/1 matrices: faster than `jnp.cumsum`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Product = Callable[..., jax.Array]
"""An einsum with its precision chosen."""

exact_sums = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
"""An einsum whose operands no device rounds: an error in an exponent is one in the result."""


def accumulator(dtype: jax.typing.DTypeLike) -> jnp.dtype:
    """The dtype of states and sums for inputs of a dtype: float32, or float64 for float64."""
    return jnp.dtype("float64" if jnp.dtype(dtype) == "float64" else "float32")


def lower(size: int, diagonal: int, dtype: jax.typing.DTypeLike) -> jax.Array:
    """Ones on and below a diagonal of a square matrix: 0 the main one, -1 that below."""
    return jnp.tril(jnp.ones((size, size), dtype), diagonal)


def lowest(dtype: jax.typing.DTypeLike) -> float:
    """A log gate that forgets everything, yet can be multiplied by zero: stands for -inf."""
    return 2 * math.log(jnp.finfo(dtype).tiny)


def product_for(dtype: jax.typing.DTypeLike) -> Product:
    """The einsum for inputs of a dtype; those of 16 bits bear rounded operands where it is fast."""
    rounded = jnp.finfo(dtype).bits < 32
    precision = jax.lax.Precision.DEFAULT if rounded else jax.lax.Precision.HIGHEST
    return functools.partial(jnp.einsum, precision=precision)
