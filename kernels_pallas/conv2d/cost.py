"""What a convolution costs, as formulas of its shapes."""

from __future__ import annotations

from collections.abc import Sequence

from kernels_pallas.conv2d.window import Window
from kernels_pallas.costs import Cost


def cost(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    window: Window,
    itemsize: int = 4,
    backward: bool = False,
) -> Cost:
    """MACs = B h w R S C K forward, twice that backward; bytes of x, kernel and result once.

    Backward reads all three and writes the gradients of x and of the kernel.

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, C, K].
        window: strides and padding.
        itemsize: bytes of one element.
        backward: the cost of the backward pass.
    """
    batch, *pixels, inputs = x_shape
    height, width, _, outputs = kernel_shape
    rows, columns = window.outputs(pixels, (height, width))
    macs = batch * rows * columns * height * width * inputs * outputs
    read = batch * pixels[0] * pixels[1] * inputs + height * width * inputs * outputs
    result = batch * rows * columns * outputs
    if backward:
        return Cost(2 * macs, (2 * read + result) * itemsize)
    return Cost(macs, (read + result) * itemsize)


def winograd_cost(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    window: Window,
    outputs: int = 2,
    transformed: bool = False,
) -> Cost:
    """MACs = B tiles (m + 2)^2 C K of the products, and what the tiles take in memory besides.

    Bytes are those of x, kernel and result, and of the transformed input, weights and result, each
    written and read, in float32; weights transformed before are read alone.

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [3, 3, C, K].
        window: padding, at stride 1.
        outputs: m.
        transformed: whether the weights are kept transformed.
    """
    batch, *pixels, inputs = x_shape
    width = kernel_shape[3]
    plain = cost(x_shape, kernel_shape, window=window)
    tiles, places = batch, (outputs + 2) ** 2
    for length in window.outputs(pixels, (3, 3)):
        tiles *= -(-length // outputs)
    weights = places * inputs * width
    moved = 2 * places * tiles * (inputs + width) + (weights if transformed else 2 * weights)
    kept = plain.bytes_moved - (4 * 9 * inputs * width if transformed else 0)
    return Cost(tiles * places * inputs * width, kept + 4 * moved)
