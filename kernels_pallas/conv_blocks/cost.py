"""What a block costs in one kernel and layer by layer, as formulas of its shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kernels_pallas.conv2d.window import Window
from kernels_pallas.conv_blocks.weights import BlockWeights
from kernels_pallas.costs import Cost
from kernels_pallas.grouped_conv2d import cost as convolution


def convfirst_block(
    x_shape: Sequence[int], weights: BlockWeights, *, window: Window, fused: bool = True
) -> Cost:
    """MACs of the convolution and of both layers at each pixel; bytes of x, weights and result.

    Args:
        x_shape: [B, H, W, C].
        weights: of the block, or their shapes.
        window: strides and padding.
        fused: whether in one kernel; else what is between the layers is written and read, and x
            read twice.
    """
    pixels = _pixels(x_shape, weights, window)
    conv = convolution.cost(x_shape, weights.kernel.shape, window=window)
    layers = math.prod(weights.expand.shape) + math.prod(weights.project.shape)
    between = pixels * sum(weights.expand.shape)
    return _cost(x_shape, weights, pixels, conv.macs + pixels * layers, between, fused)


def mbconv_block(
    x_shape: Sequence[int], weights: BlockWeights, *, window: Window, fused: bool = True
) -> Cost:
    """As `convfirst_block`, with the expansion at the pixels before the convolution.

    Args:
        x_shape, weights, window, fused: as there.
    """
    pixels, before = _pixels(x_shape, weights, window), math.prod(x_shape[:3])
    width = weights.expand.shape[1]
    conv = convolution.cost((*x_shape[:3], width), weights.kernel.shape, window=window)
    layers = before * math.prod(weights.expand.shape) + pixels * math.prod(weights.project.shape)
    between = (before + pixels) * width
    return _cost(x_shape, weights, pixels, conv.macs + layers, between, fused)


def _cost(
    x_shape: Sequence[int],
    weights: BlockWeights,
    pixels: int,
    macs: int,
    between: int,
    fused: bool,
) -> Cost:
    numbers = math.prod(x_shape) + pixels * weights.project.shape[1]
    numbers += sum(math.prod(one.shape) for one in weights)
    if not fused:
        numbers += 2 * between + math.prod(x_shape)
    return Cost(macs, numbers * weights.kernel.dtype.itemsize)


def _pixels(x_shape: Sequence[int], weights: BlockWeights, window: Window) -> int:
    """Of the result."""
    return x_shape[0] * math.prod(window.outputs(x_shape[1:3], weights.kernel.shape[:2]))
