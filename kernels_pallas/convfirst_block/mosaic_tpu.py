"""A ConvFirst block on TPU: pixels and hidden channels stay in VMEM from the input to the result.

A program takes rows of one picture with all its channels, a chunk of pixels at a time: convolution
as in `grouped_conv2d`, then both products. The weights are read once for all pictures.
"""

from __future__ import annotations

import functools
from typing import Any

import jax

from kernels_pallas.activations import ACTIVATIONS
from kernels_pallas.convfirst_block import cost
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.convfirst_block.mosaic_tpu_tiles import (
    MEMORY,
    Tiles,
    call,
    each_chunk,
    row,
    spatial,
    unfit_block,
    whole,
)
from kernels_pallas.grouped_conv2d.mosaic_tpu_rows import lanes, product, shifted, weights


def unfit(x: jax.Array, block: BlockWeights, how: Known) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    if reason := unfit_block(x, block, how):
        return reason
    fits = _tiles(x, block, how).rows.block >= 1
    return "" if fits else "a row of pixels and the weights do not fit in the kernel's memory"


def convfirst_block(x: jax.Array, block: BlockWeights, how: Known, *, interpret: bool) -> jax.Array:
    """[B, h, w, K]; what does not fit is in `unfit`."""
    tiles = _tiles(x, block, how)
    taps, term = weights(block.kernel)
    inside, hidden, outside = (lanes(size) for size in (x.shape[3], *block.project.shape))
    arrays = [
        taps,
        row(block.bias, inside),
        whole(block.expand, inside, hidden),
        row(block.expand_bias, hidden),
        whole(block.project, hidden, outside),
        row(block.project_bias, outside),
    ]
    chain = cost.layers(x.shape, block.kernel.shape, *block.project.shape, window=how.window)
    kernel = functools.partial(_kernel, tiles=tiles, how=how, term=term)
    return call(kernel, x, arrays, tiles, how, chain, name="convfirst_block", interpret=interpret)


def _kernel(
    x_ref: Any,
    taps_ref: Any,
    bias_ref: Any,
    expand_ref: Any,
    expand_bias_ref: Any,
    project_ref: Any,
    project_bias_ref: Any,
    out_ref: Any,
    *,
    tiles: Tiles,
    how: Known,
    term: Any,
) -> None:
    def chunk(here: Any) -> None:
        z = spatial(x_ref, taps_ref, here, tiles.rows, term) + bias_ref[...]
        hidden = ACTIVATIONS[how.activation](product(z, expand_ref[...]) + expand_bias_ref[...])
        y = product(hidden, project_ref[...]) + project_bias_ref[...]
        if how.residual:
            y += shifted(x_ref, here, *tiles.centre(how.window), 1)[0]
        out_ref[here] = y.astype(out_ref.dtype)

    each_chunk(tiles.rows.written, chunk)


def _tiles(x: jax.Array, block: BlockWeights, how: Known) -> Tiles:
    """Rows of the result in a program: what VMEM holds of pixels beside the weights."""
    size, (hidden, outputs) = x.dtype.itemsize, block.project.shape
    inside, wide, outside = lanes(x.shape[3]), lanes(hidden), lanes(outputs)
    taps = jax.eval_shape(lambda kernel: weights(kernel)[0], block.kernel)
    held = taps.size + inside * wide + wide * outside
    return Tiles.fitting(
        x.shape,
        block.kernel.shape,
        how.window,
        held=held * size,
        read=2 * inside * size,
        written=2 * outside * size,
        chunk=3 * wide * 4,
        memory=MEMORY,
    )
