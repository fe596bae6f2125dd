"""The inverse of a unit lower triangular matrix by doubling blocks.

    [[1 + A1, 0], [A21, 1 + A2]]^-1 = [[X1, 0], [-X2 A21 X1, X2]],  X1, X2 those of the halves

Each size of block takes two products, and no number larger than those of the result appears: the
powers of A that a series would sum never do.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

DIRECT = 8
"""Largest block whose levels are products of whole blocks, masked; larger ones are cut in four.

The fastest of 4, 8 and 16 on CPUs, where a product of tiny matrices costs mostly its call.
"""

_product = functools.partial(jnp.einsum, "...ij,...jk->...ik", precision=lax.Precision.HIGHEST)


def unit_lower_inverse(below: jax.Array) -> jax.Array:
    """(I + A)^-1 [n, C, C], in full precision.

    Args:
        below: A [n, C, C], zero on and above the diagonal; C is a power of two.
    """
    count, size, _ = below.shape
    block = min(DIRECT, size)
    places = [slice(at, at + block) for at in range(0, size, block)]
    diagonal = jnp.stack([below[:, place, place] for place in places], axis=1)
    found = masked_inverse(diagonal, _product)
    while block < size:
        first, second = found[:, 0::2], found[:, 1::2]
        corner = _corners(below, block)
        low = -_product(_product(second, corner), first)
        upper = jnp.concatenate([first, jnp.zeros_like(first)], axis=-1)
        found = jnp.concatenate([upper, jnp.concatenate([low, second], axis=-1)], axis=-2)
        block *= 2
    return found.reshape(count, size, size)


def masked_inverse(below: jax.Array, product) -> jax.Array:
    """The same for [..., C, C] with products of whole matrices: X - X A_h X for h = 1, 2, 4, ...

    A_h holds the entries that lie between the two halves of aligned blocks of 2 h.

    Args:
        below: A, zero on and above the diagonal.
        product: of two matrices, in full precision.
    """
    size = below.shape[-1]
    row, column = (lax.broadcasted_iota(jnp.int32, below.shape, below.ndim - n) for n in (2, 1))
    found = (row == column).astype(below.dtype)
    half = 1
    while half < size:
        parted = ((row ^ column) >= half) & ((row ^ column) < 2 * half)
        between = jnp.where(parted, below, 0.0)
        found -= between if half == 1 else product(product(found, between), found)
        half *= 2
    return found


def _corners(below: jax.Array, block: int) -> jax.Array:
    """The lower left quarter of each aligned block of 2 h on the diagonal [n, C / 2 h, h, h]."""
    starts = range(0, below.shape[-1], 2 * block)
    corners = [below[:, at + block : at + 2 * block, at : at + block] for at in starts]
    return jnp.stack(corners, axis=1)
