"""The definition of a ConvFirst block, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.dtypes import accumulator
from kernels_pallas.grouped_conv2d.reference import grouped_conv2d


def convfirst_block(x: jax.Array, weights: BlockWeights, how: Known) -> jax.Array:
    """act((x * kernel + b) W1 + b1) W2 + b2, and x where it is added; summed wide."""
    wide = accumulator(x.dtype)
    pixels, w = x.astype(wide), weights.astype(wide)
    z = grouped_conv2d(pixels, w.kernel, groups=how.groups, window=how.window)
    z = z + w.bias[None, None, None]
    hidden = jnp.matmul(z, w.expand, precision="highest") + w.expand_bias[None, None, None]
    hidden = ACTIVATIONS[how.activation](hidden)
    y = jnp.matmul(hidden, w.project, precision="highest") + w.project_bias[None, None, None]
    return (y + pixels if how.residual else y).astype(x.dtype)
