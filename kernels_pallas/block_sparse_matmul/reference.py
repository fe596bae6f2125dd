"""The definition of the product with kept blocks, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas.block_sparse_matmul.pattern import BlockPattern
from kernels_pallas.dtypes import accumulator


def block_sparse_matmul(x: jax.Array, blocks: jax.Array, pattern: BlockPattern) -> jax.Array:
    """out[:, j] = the sum over kept (i, j) of x[:, i] B_ij, i and j counting blocks."""
    wide = accumulator(x.dtype)
    high, across = pattern.block
    rows, columns = np.array(pattern.kept, int).reshape(-1, 2).T
    filled = jnp.pad(x.astype(wide), ((0, 0), (0, pattern.filled[0] - pattern.rows)))
    pixels = filled.reshape(x.shape[0], -1, high)[:, rows]
    parts = jnp.einsum("mnk,nkc->nmc", pixels, blocks.astype(wide), precision="highest")
    sums = jnp.zeros((pattern.grid[1], x.shape[0], across), wide).at[columns].add(parts)
    whole = sums.transpose(1, 0, 2).reshape(x.shape[0], -1)
    return whole[:, : pattern.columns].astype(x.dtype)
