"""The fastest form on a CPU, from measurements kept as data in `tuned.json`.

    {"AVX2": {"measured": [{"taps": 9, "stride": 1, "inputs": 1, "outputs": 1, "groups": 144,
                            "rows": 25088, "seconds": {"xla": 0.112, "taps": 0.0044}, ...}]}}

A shape takes the form that was fastest at the nearest measured one: nearest in the logarithms of
taps, stride, input and output channels of a group, groups and output pixels (`rows`). The width of
a group decides most, and counts most.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from importlib import resources
from typing import Any

from kernels_pallas.conv2d.choice import processor
from kernels_pallas.conv2d.window import Window

LEAST_MACS = 50_000
"""Multiply-accumulates below which XLA's own runs: it compiles fastest, and no form gains more than
some microseconds."""

WEIGHTS = {"taps": 1, "stride": 1, "inputs": 9, "outputs": 4, "groups": 1, "rows": 1}
"""Of the squared distance along each axis: ours, so that no width is taken for another nearby."""


def fastest(
    x_shape: Sequence[int], kernel_shape: Sequence[int], groups: int, window: Window
) -> str:
    """The form for a shape on this machine's processor: "xla", "taps" or "per_group".

    Args:
        x_shape: [B, H, W, C].
        kernel_shape: [R, S, C / groups, K].
        groups: of channels.
        window: strides and padding.
    """
    batch, *pixels, _ = x_shape
    height, width, inputs, outputs = kernel_shape
    rows = batch * math.prod(window.outputs(pixels, (height, width)))
    if rows * math.prod(kernel_shape) < LEAST_MACS:
        return "xla"
    stride = math.sqrt(math.prod(window.strides))
    sizes = (height * width, stride, inputs, outputs // groups, groups, rows)
    seconds: dict[str, float] = _nearest(processor(), *sizes)["seconds"]
    return min(seconds, key=lambda form: seconds[form])


@functools.cache
def _nearest(device: str, *sizes: float) -> dict[str, Any]:
    """The measurement at the shape most like this one; sizes in the order of `WEIGHTS`."""
    table = measured()
    points = table.get(device, table["AVX2"])["measured"]

    def distance(one: dict[str, Any]) -> float:
        return sum(
            weight * math.log2(one[axis] / size) ** 2
            for (axis, weight), size in zip(WEIGHTS.items(), sizes, strict=True)
        )

    found: dict[str, Any] = min(points, key=distance)
    return found


@functools.cache
def measured() -> dict[str, Any]:
    """What `tuned.json` holds, by class of processor."""
    file = resources.files("kernels_pallas") / "grouped_conv2d" / "tuned.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
