"""Sums of log gates inside a chunk, as products with 0/1 matrices: faster than `jnp.cumsum`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Product = Callable[..., jax.Array]
"""An einsum with its precision chosen."""


def exact_sums(spec: str, ones: jax.Array, gates: jax.Array) -> jax.Array:
    """An einsum of one 0/1 matrix with the gates of each head, which no device rounds.

    An error in an exponent is one in the result. The matrix is repeated for every head, which CPUs
    multiply faster than heads side by side in one product and then apart again.

    Args:
        spec: as for einsum, the axis of the heads "n" left out of the matrix: "ij,njd->nid".
        ones: the matrix.
        gates: [n, ...].
    """
    repeated = jnp.broadcast_to(ones, (gates.shape[0], *ones.shape))
    return jnp.einsum(f"n{spec}", repeated, gates, precision=jax.lax.Precision.HIGHEST)


def sums_of_rows(ones: jax.Array, rows: jax.Array) -> jax.Array:
    """Sums over tokens by a 0/1 matrix, as exact: all heads side by side, as they lie.

    What moves heads to the front afterwards fuses with what takes the sums.

    Args:
        ones: [M, C].
        rows: [..., C, H, K].

    Returns:
        [..., M, H, K].
    """
    *lead, size, heads, width = rows.shape
    repeated = jnp.broadcast_to(ones, (*lead, *ones.shape))
    flat = rows.reshape(*lead, size, heads * width)
    sums = jnp.matmul(repeated, flat, precision=jax.lax.Precision.HIGHEST)
    return sums.reshape(*lead, -1, heads, width)


def heads_first(blocks: jax.Array) -> jax.Array:
    """[B, N, C, H, D] as [B H N, C, D]."""
    _, _, size, _, width = blocks.shape
    return jnp.moveaxis(blocks, 3, 1).reshape(-1, size, width)


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
