"""The fastest forms on a CPU, from measurements kept as data in `tuned.json`.

    {"AVX2": {"measured": [{"taps": 9, "stride": 1, "inputs": 1, "outputs": 1, "groups": 144,
                            "rows": 25088, "seconds": {"xla": 0.112, "taps": 0.0044}, ...}]}}

"seconds" are those of the convolution, "kernel_gradient" those of the gradient to the kernel. A
shape takes the form that was fastest at the nearest measured one: nearest in the logarithms of
taps, stride, input and output channels of a group, groups and output pixels (`rows`). The width of
a group decides most, and counts most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kernels_pallas import tuning
from kernels_pallas.conv2d.choice import processor
from kernels_pallas.conv2d.window import Window

LEAST_MACS = 50_000
"""Multiply-accumulates below which XLA's own runs: it compiles fastest, and other forms gain a
fraction of a millisecond."""

WEIGHTS = {"taps": 1, "stride": 1, "inputs": 9, "outputs": 4, "groups": 1, "rows": 1}
"""Of the squared distance along each axis: ours, so that no width is taken for another nearby."""


def fastest(
    x_shape: Sequence[int], kernel_shape: Sequence[int], groups: int, window: Window
) -> str:
    """The form for a shape on this machine's processor: "xla", or a CPU's form by its name.

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, C / groups, K].
        groups: of channels.
        window: strides and padding.
    """
    sizes = _sizes(x_shape, kernel_shape, groups, window)
    if sizes[-1] * math.prod(kernel_shape) < LEAST_MACS:
        return "xla"
    return _nearest(sizes, "seconds")


def fastest_for_kernel(
    x_shape: Sequence[int], kernel_shape: Sequence[int], groups: int, window: Window
) -> str:
    """The form of the gradient to the kernel: "sums" of a depthwise one, else what was measured.

    Args:
        x_shape, kernel_shape, groups, window: as in `fastest`.
    """
    if kernel_shape[2] == 1:
        return "sums"
    return _nearest(_sizes(x_shape, kernel_shape, groups, window), "kernel_gradient")


def _sizes(
    x_shape: Sequence[int], kernel_shape: Sequence[int], groups: int, window: Window
) -> tuple[float, ...]:
    """A shape along the axes of `WEIGHTS`."""
    batch, *pixels, _ = x_shape
    height, width, inputs, outputs = kernel_shape
    rows = batch * math.prod(window.outputs(pixels, (height, width)))
    stride = math.sqrt(math.prod(window.strides))
    return height * width, stride, inputs, outputs // groups, groups, rows


def _nearest(sizes: tuple[float, ...], of: str) -> str:
    return tuning.fastest("grouped_conv2d", processor(), tuple(WEIGHTS.items()), *sizes, of=of)
