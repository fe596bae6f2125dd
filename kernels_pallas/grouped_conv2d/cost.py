"""What a grouped convolution costs, as formulas of its shapes."""

from __future__ import annotations

from collections.abc import Sequence

from kernels_pallas.conv2d import cost as convolution
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
    """MACs = B h w R S G K forward, twice that backward; bytes of x, kernel and result once.

    G is the width of a group, so that MACs and the kernel's bytes fall with the number of groups
    and the bytes of pictures do not. Backward reads all three and writes the gradients of x and of
    the kernel.

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, G, K].
        window: strides and padding.
        itemsize: bytes of one element.
        backward: the cost of the backward pass.
    """
    *pictures, channels = x_shape
    width = kernel_shape[2]
    one = convolution.cost(
        (*pictures, width), kernel_shape, window=window, itemsize=itemsize, backward=backward
    )
    batch, height, columns = pictures
    reads = 2 if backward else 1  # the gradient of x is written beside it
    others = reads * batch * height * columns * (channels - width)
    return Cost(one.macs, one.bytes_moved + others * itemsize)


def intensity(
    x_shape: Sequence[int], kernel_shape: Sequence[int], *, window: Window, itemsize: int = 4
) -> float:
    """FLOPs a byte of memory traffic; at stride 1 and many pixels R S G / itemsize.

    Args:
        x_shape, kernel_shape, window, itemsize: as in `cost`.
    """
    one = cost(x_shape, kernel_shape, window=window, itemsize=itemsize)
    return 2 * one.macs / one.bytes_moved
