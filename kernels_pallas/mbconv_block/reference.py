"""The definition of an MBConv block, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.dtypes import accumulator
from kernels_pallas.grouped_conv2d.reference import grouped_conv2d


def mbconv_block(x: jax.Array, weights: BlockWeights, how: Known) -> jax.Array:
    """act(act(x W1 + b1) * kernel + b) W2 + b2, and x where it is added; summed wide."""
    act, wide = ACTIVATIONS[how.activation], accumulator(x.dtype)
    pixels, w = x.astype(wide), weights.astype(wide)
    hidden = jnp.matmul(pixels, w.expand, precision="highest") + w.expand_bias[None, None, None]
    z = grouped_conv2d(act(hidden), w.kernel, groups=how.groups, window=how.window)
    z = act(z + w.bias[None, None, None])
    y = jnp.matmul(z, w.project, precision="highest") + w.project_bias[None, None, None]
    return (y + pixels if how.residual else y).astype(x.dtype)
