"""A grouped convolution at stride 1 on TPU, channels in lanes and pixels in sublanes.

Depthwise kernels are multiply-adds of the vector unit. Groups are products with blocks of 128
channels in which other groups' weights are zero, so that a pixel that is not a number spoils the
groups beside its own. How pictures lie is in `mosaic_tpu_rows`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import mosaic
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import cost
from kernels_pallas.grouped_conv2d.mosaic_tpu_rows import (
    LANES,
    Rows,
    each_chunk,
    lanes,
    pitch,
    sums,
    weights,
)

MEMORY = 12 << 20
"""Bytes of VMEM for blocks of pictures, weights and results, each twice; a kernel has 16 MiB."""


def unfit(x: jax.Array, kernel: jax.Array, groups: int, window: Window) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    width, outputs = kernel.shape[2], kernel.shape[3] // groups
    if window.strides != (1, 1):
        return f"the kernel is for strides of 1, not {window.strides}"
    if width != outputs or LANES % width:
        return f"groups of {width} channels to {outputs} do not share {LANES} lanes"
    if x.dtype.name not in ("float32", "bfloat16"):
        return f"x has dtype {x.dtype}; mosaic_tpu takes float32, bfloat16"
    if _block(window, x.shape, kernel.shape, x.dtype.itemsize) < 1:
        return f"one row of {x.shape[2]} pixels does not fit in the kernel's memory"
    return ""


def grouped_conv2d(
    x: jax.Array, kernel: jax.Array, *, groups: int, window: Window, interpret: bool = False
) -> jax.Array:
    """[B, h, w, C]; what does not fit is in `unfit`."""
    taps, channels = (kernel.shape[0], kernel.shape[1]), x.shape[3]
    size = window.outputs(x.shape[1:3], taps)
    block = min(size[0], _block(window, x.shape, kernel.shape, x.dtype.itemsize))
    rows = Rows(taps, pitch(window, x.shape), block, -(-size[0] // block))
    by_lanes, term = weights(kernel)
    found = mosaic.call(
        functools.partial(_kernel, rows=rows, term=term),
        grid=(x.shape[0], lanes(channels) // LANES, rows.blocks),
        in_specs=[
            pl.BlockSpec(
                (pl.Squeezed(), pl.Element(rows.read), pl.Element(LANES)),
                lambda b, c, i: (b, i * rows.written, c * LANES),
            ),
            pl.BlockSpec((None, *by_lanes.shape[1:]), lambda b, c, i: (c, 0, 0, 0)),
        ],
        out_specs=pl.BlockSpec((None, rows.written, LANES), lambda b, c, i: (b, i, c)),
        out_shape=jax.ShapeDtypeStruct(
            (x.shape[0], rows.blocks * rows.written, lanes(channels)), x.dtype
        ),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",) * 3),
        cost_estimate=cost.cost(
            x.shape, kernel.shape, window=window, itemsize=x.dtype.itemsize
        ).estimate(),
        interpret=interpret,
        name="grouped_conv2d",
    )(rows.column(x, window), by_lanes)
    return rows.picture(found, size, channels)


def _kernel(x_ref: Any, weights_ref: Any, out_ref: Any, *, rows: Rows, term: Any):
    def chunk(here: Any) -> None:
        out_ref[here] = sums(x_ref, weights_ref, here, rows, term).astype(out_ref.dtype)

    each_chunk(rows.written, chunk)


def _block(
    window: Window, x_shape: tuple[int, ...], kernel_shape: tuple[int, ...], itemsize: int
) -> int:
    """Rows of the result in a program; below 1 where none fits."""
    height, width, inputs, _ = kernel_shape
    matrices = 2 * height * width * LANES * itemsize * (LANES if inputs > 1 else 1)
    row = 2 * pitch(window, x_shape) * LANES * itemsize
    return ((MEMORY - matrices) // row - height) // 2
