"""The product of every pixel, and the dtype a device computes a block in."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas import dispatch
from kernels_pallas.convfirst_block.block import BlockWeights
from kernels_pallas.dtypes import accumulator


def pointwise(x: jax.Array, matrix: jax.Array, bias: jax.Array) -> jax.Array:
    """x W + b in the dtype that sums are taken in."""
    wide = accumulator(x.dtype)
    product = jnp.matmul(x, matrix, preferred_element_type=wide)
    return product + bias.astype(wide)[None, None, None]


def widened(x: jax.Array, weights: BlockWeights) -> tuple[jax.Array, BlockWeights]:
    """Both in float32 where a CPU would compute in half precision, which it is slow in."""
    if dispatch.current_target().platform == "cpu" and jnp.finfo(x.dtype).bits < 32:
        return x.astype(jnp.float32), weights.astype(jnp.float32)
    return x, weights
