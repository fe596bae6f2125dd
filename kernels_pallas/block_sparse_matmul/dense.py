"""The product with the whole matrix, zeros included: the fastest form while most blocks are kept.

An input that is not a number spoils every result here, not only those whose blocks see it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.block_sparse_matmul.pattern import BlockPattern, blocks_of, unpack_blocks


def block_sparse_matmul(x: jax.Array, blocks: jax.Array, pattern: BlockPattern) -> jax.Array:
    """x [M, K] times the unpacked matrix."""
    return jnp.matmul(x, unpack_blocks(blocks, pattern))


def gradient_of_blocks(x: jax.Array, gradient: jax.Array, pattern: BlockPattern) -> jax.Array:
    """Those of xᵀ g, all of which is computed."""
    return blocks_of(jnp.matmul(x.T, gradient), pattern)
