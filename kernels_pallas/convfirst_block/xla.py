"""A ConvFirst block layer by layer, each in its own fastest form; on a CPU in float32 at least."""

from __future__ import annotations

import jax

from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.convfirst_block.pointwise import pointwise, widened
from kernels_pallas.grouped_conv2d import grouped_conv2d


def convfirst_block(x: jax.Array, weights: BlockWeights, how: Known) -> jax.Array:
    """Convolution, product, activation, product, sum."""
    pixels, w = widened(x, weights)
    strides, padding = how.window
    z = grouped_conv2d(pixels, w.kernel, groups=how.groups, strides=strides, padding=padding)
    z = z + w.bias[None, None, None]
    hidden = ACTIVATIONS[how.activation](pointwise(z, w.expand, w.expand_bias))
    y = pointwise(hidden.astype(pixels.dtype), w.project, w.project_bias)
    y = y.astype(pixels.dtype)
    return (y + pixels if how.residual else y).astype(x.dtype)
