"""The fastest form on a CPU, from measurements kept as data in `tuned.json`.

    {"AVX2": {"measured": [{"taps": 3, "stride": 1, "rows": 8192, "inputs": 320, "outputs": 320,
                            "seconds": {"xla": 0.17, "im2col": 0.27, "winograd": 0.12}}]}}

A shape takes the form that was fastest at the nearest measured one: nearest in the logarithms of
output pixels (`rows`), of input and of output channels, at the same taps and stride. A processor of
a class that was not measured takes the times of another (`tuning.deciding`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from kernels_pallas import tuning
from kernels_pallas.conv2d.window import Window
from kernels_pallas.processor import processor

LEAST_MACS = 100_000_000
"""Multiply-accumulates below which the plain form runs: there is less to win than the other forms
take to compile."""

TRANSFORMED_PAYS = 0.75
"""Share of the fastest form's time, below which keeping transformed weights is worth its memory."""


def fastest(x_shape: Sequence[int], kernel_shape: Sequence[int], window: Window) -> str:
    """The form for a shape on this machine's processor: "xla", "im2col" or "winograd".

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, C, K].
        window: strides and padding.
    """
    batch, *pixels, inputs = x_shape
    height, width, _, outputs = kernel_shape
    rows = batch * math.prod(window.outputs(pixels, (height, width)))
    if (height, width) == (1, 1) and window.strides == (1, 1):
        return "im2col"  # a product as it is
    square = height == width and window.strides[0] == window.strides[1]
    if not square or rows * height * width * inputs * outputs < LEAST_MACS:
        return "xla"
    near = _nearest(processor(), height, window.strides[0], rows, inputs, outputs)
    if near is None:
        return "xla"
    seconds: dict[str, float] = near["seconds"]
    return min(seconds, key=lambda form: seconds[form])


def transformed_pays(x_shape: Sequence[int], kernel_shape: Sequence[int], window: Window) -> bool:
    """Whether weights transformed before are much faster than any form that transforms none.

    Args:
        x_shape, kernel_shape, window: as in `fastest`.
    """
    if tuple(kernel_shape[:2]) != (3, 3) or window.strides != (1, 1):
        return False
    rows = x_shape[0] * math.prod(window.outputs(x_shape[1:3], kernel_shape[:2]))
    if rows * math.prod(kernel_shape) < LEAST_MACS:
        return False
    near = _nearest(processor(), 3, 1, rows, *kernel_shape[2:])
    return near is not None and near["transformed"] < TRANSFORMED_PAYS * min(
        near["seconds"].values()
    )


@functools.cache
def _nearest(
    device: str, taps: int, stride: int, rows: int, inputs: int, outputs: int
) -> dict[str, Any] | None:
    """The measurement at the shape most like this one; None where the kernel was not measured."""
    points = tuning.measured("conv2d", device)
    alike = [one for one in points if (one["taps"], one["stride"]) == (taps, stride)]

    def distance(one: dict[str, Any]) -> float:
        sizes = ((one["rows"], rows), (one["inputs"], inputs), (one["outputs"], outputs))
        return sum(math.log2(there / here) ** 2 for there, here in sizes)

    return min(alike, key=distance, default=None)
