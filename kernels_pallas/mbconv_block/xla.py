"""An MBConv block layer by layer, each in its own fastest form; on a CPU in float32 at least."""

from __future__ import annotations

import jax

from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.convfirst_block.pointwise import pointwise, widened
from kernels_pallas.grouped_conv2d import grouped_conv2d


def mbconv_block(x: jax.Array, weights: BlockWeights, how: Known) -> jax.Array:
    """Product, activation, convolution, activation, product, sum."""
    act = ACTIVATIONS[how.activation]
    pixels, w = widened(x, weights)
    hidden = act(pointwise(pixels, w.expand, w.expand_bias)).astype(pixels.dtype)
    strides, padding = how.window
    z = grouped_conv2d(hidden, w.kernel, groups=how.groups, strides=strides, padding=padding)
    z = act(z + w.bias[None, None, None])
    y = pointwise(z, w.project, w.project_bias).astype(pixels.dtype)
    return (y + pixels if how.residual else y).astype(x.dtype)
