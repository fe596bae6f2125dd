"""An MBConv block on TPU: the hidden channels stay in VMEM.

A program takes rows of one picture: it expands them, with the rows around that taps meet, into
scratch memory, then convolves and projects a chunk of pixels at a time. Around a picture hidden
channels are zero, not what the expansion makes of zero pixels.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.activations import ACTIVATIONS
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
from kernels_pallas.mbconv_block import cost


def unfit(x: jax.Array, block: BlockWeights, how: Known) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    if reason := unfit_block(x, block, how):
        return reason
    fits = _tiles(x, block, how).rows.block >= 1
    return "" if fits else "a row of pixels and the weights do not fit in the kernel's memory"


def mbconv_block(x: jax.Array, block: BlockWeights, how: Known, *, interpret: bool) -> jax.Array:
    """[B, h, w, K]; what does not fit is in `unfit`."""
    tiles = _tiles(x, block, how)
    taps, term = weights(block.kernel)
    inside, hidden, outside = (lanes(size) for size in (x.shape[3], *block.project.shape))
    arrays = [
        whole(block.expand, inside, hidden),
        row(block.expand_bias, hidden),
        taps,
        row(block.bias, hidden),
        whole(block.project, hidden, outside),
        row(block.project_bias, outside),
    ]
    chain = cost.layers(x.shape, block.kernel.shape, *block.project.shape, window=how.window)
    pixels = (x.shape[1], x.shape[2])
    kernel = functools.partial(_kernel, tiles=tiles, how=how, term=term, pixels=pixels)
    scratch = [pltpu.VMEM((tiles.rows.read, hidden), x.dtype)]
    return call(
        kernel,
        x,
        arrays,
        tiles,
        how,
        chain,
        name="mbconv_block",
        interpret=interpret,
        scratch=scratch,
    )


def _kernel(
    x_ref: Any,
    expand_ref: Any,
    expand_bias_ref: Any,
    taps_ref: Any,
    bias_ref: Any,
    project_ref: Any,
    project_bias_ref: Any,
    out_ref: Any,
    hidden_ref: Any,
    *,
    tiles: Tiles,
    how: Known,
    term: Any,
    pixels: tuple[int, int],
) -> None:
    act, rows = ACTIVATIONS[how.activation], tiles.rows
    first = pl.program_id(1) * rows.block

    def widen(here: Any) -> None:
        hidden = act(product(x_ref[here], expand_ref[...]) + expand_bias_ref[...])
        hidden = hidden * _within(here, first, rows.pitch, how, pixels)
        hidden_ref[here] = hidden.astype(hidden_ref.dtype)

    def chunk(here: Any) -> None:
        z = act(spatial(hidden_ref, taps_ref, here, rows, term) + bias_ref[...])
        y = product(z, project_ref[...]) + project_bias_ref[...]
        if how.residual:
            y += shifted(x_ref, here, *tiles.centre(how.window), 1)[0]
        out_ref[here] = y.astype(out_ref.dtype)

    each_chunk(rows.read, widen)
    each_chunk(rows.written, chunk)


def _within(
    here: Any, first: jax.Array, pitch: int, how: Known, pixels: tuple[int, int]
) -> jax.Array:
    """One where a pixel of the column is one of the picture, zero around it: [chunk, 1].

    In float32, whose division by the pitch is half a pixel away from any mistake.
    """
    (above, _), (left, _) = how.window.padding
    number = jax.lax.broadcasted_iota(jnp.int32, (here.size, 1), 0) + here.start
    place = number.astype(jnp.float32)
    down = jnp.floor((place + 0.5) / pitch)
    right = place - down * pitch - left
    down = down + (first - above).astype(jnp.float32)
    inside = (down >= 0) & (down < pixels[0]) & (right >= 0) & (right < pixels[1])
    return jnp.where(inside, 1.0, 0.0)


def _tiles(x: jax.Array, block: BlockWeights, how: Known) -> Tiles:
    """Rows of the result in a program: what VMEM holds of pixels and hidden channels."""
    size, (hidden, outputs) = x.dtype.itemsize, block.project.shape
    inside, wide, outside = lanes(x.shape[3]), lanes(hidden), lanes(outputs)
    taps = jax.eval_shape(lambda kernel: weights(kernel)[0], block.kernel)
    held = taps.size + inside * wide + wide * outside
    return Tiles.fitting(
        x.shape,
        block.kernel.shape,
        how.window,
        held=held * size,
        read=(2 * inside + wide) * size,
        written=2 * outside * size,
        chunk=3 * wide * 4,
        memory=MEMORY,
    )
