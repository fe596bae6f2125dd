"""What a ConvFirst block costs, layer by layer and as one op."""

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
    """B h w (R S G C + C E + E K) multiply-accumulates in three layers.

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, G, C].
        hidden: E.
        outputs: K.
        window: strides and padding.
    """
    batch, height, columns, channels = x_shape
    pixels = batch * math.prod(window.outputs((height, columns), kernel_shape[:2]))
    taps = math.prod(kernel_shape)
    wide = pixels * hidden
    return [
        Layer(pixels * taps, math.prod(x_shape), pixels * channels, taps),
        Layer(wide * channels, pixels * channels, wide, channels * hidden, activated=wide),
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
