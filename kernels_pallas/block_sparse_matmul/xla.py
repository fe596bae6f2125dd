"""One product for each column of blocks, over the inputs that its kept blocks see.

The inputs of a column are copied side by side, so that a column with c kept blocks is one product
of depth c times the block's rows: a product a block would write and read the sums again each time.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import dispatch, manual
from kernels_pallas.block_sparse_matmul.pattern import BlockPattern

COPIED = 16 << 20
"""Bytes of inputs that a CPU copies at once. From twice as many on, the C library asks the system
for the memory in every call, which takes longer than the product."""


def block_sparse_matmul(x: jax.Array, blocks: jax.Array, pattern: BlockPattern) -> jax.Array:
    """[M, N] of x [M, K]; on a CPU so many rows at a time that their copies stay small."""
    rows = x.shape[0]
    copied = rows * len(pattern.kept) * pattern.block[0] * x.dtype.itemsize
    parts = -(-copied // COPIED) if dispatch.current_target().platform == "cpu" else 1
    if parts <= 1:
        return _all_columns(x, blocks, pattern)
    tile = -(-rows // parts)
    whole = jnp.pad(x, ((0, parts * tile - rows), (0, 0))).reshape(parts, tile, -1)
    found = lax.map(lambda part: _all_columns(part, blocks, pattern), whole)
    return found.reshape(parts * tile, pattern.columns)[:rows]


def _all_columns(x: jax.Array, blocks: jax.Array, pattern: BlockPattern) -> jax.Array:
    rows, (high, wide) = x.shape[0], pattern.block
    inputs = _by_block(x, pattern)
    columns, done = [], 0
    for kept in pattern.rows_of:
        if kept:
            matrix = blocks[done : done + len(kept)].reshape(len(kept) * high, wide)
            columns.append(jnp.matmul(_seen(inputs, kept), matrix))
        else:
            columns.append(manual.varying(jnp.zeros((rows, wide), x.dtype), x))
        done += len(kept)
    return jnp.concatenate(columns, axis=1)[:, : pattern.columns]


def gradient_of_blocks(x: jax.Array, gradient: jax.Array, pattern: BlockPattern) -> jax.Array:
    """xᵀ g at the kept blocks, [blocks, block rows, block columns]."""
    high, wide = pattern.block
    inputs = _by_block(x, pattern)
    slopes = jnp.pad(gradient, ((0, 0), (0, pattern.filled[1] - pattern.columns)))
    found = [
        jnp.matmul(_seen(inputs, kept).T, slopes[:, number * wide : (number + 1) * wide])
        for number, kept in enumerate(pattern.rows_of)
        if kept
    ]
    if not found:
        return manual.varying(jnp.zeros((0, high, wide), x.dtype), x)
    return jnp.concatenate(found).reshape(len(pattern.kept), high, wide)


def _by_block(x: jax.Array, pattern: BlockPattern) -> list[jax.Array]:
    """The columns of x that each row of blocks meets, the last filled with zeros."""
    high = pattern.block[0]
    whole = jnp.pad(x, ((0, 0), (0, pattern.filled[0] - pattern.rows)))
    return [whole[:, row * high : (row + 1) * high] for row in range(pattern.grid[0])]


def _seen(inputs: list[jax.Array], kept: tuple[int, ...]) -> jax.Array:
    return jnp.concatenate([inputs[row] for row in kept], axis=1)
