"""What an MBConv block costs, layer by layer and as one op."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kernels_pallas import chains
from kernels_pallas.chains import Layer
from kernels_pallas.conv2d.window import Window
from kernels_pallas.costs import Cost


def layers(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    hidden: int,
    outputs: int,
    *,
    window: Window,
) -> list[Layer]:
    """B H W C E + B h w (R S G E + E K) multiply-accumulates in three layers.

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, G, E].
        hidden: E.
        outputs: K.
        window: strides and padding.
    """
    batch, height, columns, channels = x_shape
    before = batch * height * columns * hidden
    pixels = batch * math.prod(window.outputs((height, columns), kernel_shape[:2]))
    taps, wide = math.prod(kernel_shape), pixels * hidden
    return [
        Layer(before * channels, math.prod(x_shape), before, channels * hidden, activated=before),
        Layer(pixels * taps, before, wide, taps, activated=wide),
        Layer(wide * outputs, wide, pixels * outputs, hidden * outputs),
    ]


def cost(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    hidden: int,
    outputs: int,
    *,
    window: Window,
    itemsize: int = 4,
    residual: bool = True,
    fused: bool = True,
) -> Cost:
    """As one op, or layer by layer through memory.

    Args:
        x_shape, kernel_shape, hidden, outputs, window: as in `layers`.
        itemsize: bytes of one element.
        residual: whether the input is added; as one op it is read once all the same.
        fused: whether it is one op.
    """
    chain = layers(x_shape, kernel_shape, hidden, outputs, window=window)
    return chains.cost(chain, fused=fused, residual=residual, itemsize=itemsize)
