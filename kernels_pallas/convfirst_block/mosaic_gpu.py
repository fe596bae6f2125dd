"""A ConvFirst block on Hopper: pixels and hidden channels stay in shared memory and registers.

Two warpgroups compute and a third fetches for both, over as many turns as it takes. A warpgroup
has one or two tiles of 64 pixels. It convolves them 32 channels at a time, each tap a product with
a matrix that is zero between groups; then it walks over the hidden channels, a slice at a time,
whose sums never leave its registers: they are the first factor of the second product. The input
is read once more where it is added, while the last slice is computed.

Pictures are read where they lie: around them the copies fill in zeros, and write nothing. Each
pixel comes in about five times, once for each column of taps, again in neighbouring tiles and in
the end, all but once from the second-level cache. The taps and both matrices come in once a turn,
for 256 pixels up to 128 channels, else for 128. A program has a multiprocessor to itself: 145 KiB
with 64 channels, 222 KiB with 128, 182 KiB with 256, and 240 registers for each thread that
computes, the result's sums among them from the first slice to the last.

The sigmoid of "silu" is the GPU's own hyperbolic tangent, good to 2^-11.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas import dispatch, hopper, interpreter, tuning
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.convfirst_block.mosaic_gpu_buffers import Given
from kernels_pallas.convfirst_block.mosaic_gpu_program import program
from kernels_pallas.convfirst_block.mosaic_gpu_tiles import (
    CHANNELS,
    MEMORY,
    WARPGROUPS,
    WIDE,
    Tiles,
)

TALLEST = 256 // WIDE
"""Rows of taps: a copy has 256 rows at most."""


def unfit(x: jax.Array, block: BlockWeights, how: Known) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    width, (hidden, outputs) = block.kernel.shape[2], block.project.shape
    if how.window.strides != (1, 1):
        return f"the kernel is for strides of 1, not {how.window.strides}"
    if x.dtype.name != "bfloat16":
        return f"x has dtype {x.dtype}; mosaic_gpu takes bfloat16"
    if WIDE % width:
        return f"groups of {width} channels do not share {WIDE}"
    for name, channels in (("x", x.shape[3]), ("expand", hidden), ("project", outputs)):
        if channels % WIDE:
            return f"{name} has {channels} channels, not a multiple of {WIDE}"
    if max(x.shape[3], outputs) > CHANNELS:
        return f"{max(x.shape[3], outputs)} channels are above {CHANNELS}"
    if block.kernel.shape[0] > TALLEST:
        return f"a kernel of {block.kernel.shape[0]} rows is above {TALLEST}"
    fits = Tiles.fitting(x.shape, block.kernel.shape, block.project.shape, how.window)
    return "" if fits else f"tiles and weights do not fit in {MEMORY >> 10} KiB of shared memory"


def convfirst_block(x: jax.Array, block: BlockWeights, how: Known, *, interpret: Any) -> jax.Array:
    """[B, h, w, K]; what does not fit is in `unfit`.

    Args:
        x, block, how: of a call that fits.
        interpret: True for the interpreter, or its parameters.
    """
    tiles = Tiles.fitting(x.shape, block.kernel.shape, block.project.shape, how.window)
    assert tiles is not None
    size = tiles.size
    if interpret:
        interpreter.enough_threads("convfirst_block", WARPGROUPS + 1)
        x, size = _reached(x, tiles, how), (tiles.down * tiles.rows, tiles.across * tiles.columns)
    most = tuning.blocks("convfirst_block", "mosaic_gpu", dispatch.current_target().kind)
    given = Given(
        x=x,
        taps=taps(block.kernel),
        expand=block.expand,
        project=block.project,
        bias=_rows(block.bias, WIDE),
        expand_bias=_rows(block.expand_bias, WIDE),
        project_bias=_rows(block.project_bias, WIDE),
    )
    found = hopper.kernel(
        partial(program, tiles, how, bool(interpret)),
        out_type=jax.ShapeDtypeStruct((x.shape[0], *size, tiles.outputs), x.dtype),
        grid=(min(most["programs"], tiles.turns),),
        grid_names=("program",),
        num_threads=WARPGROUPS + 1,
        thread_name="warpgroup",
        kernel_name="convfirst_block",
        approx_math=True,
        interpret=interpret,
    )(*given)
    return found[:, : tiles.size[0], : tiles.size[1]]


def taps(kernel: jax.Array) -> jax.Array:
    """Matrices of the taps by block of channels and column [C / 32, S, R 32, 32].

    A row's matrices lie under each other; each is zero between groups.

    Args:
        kernel: [R, S, G, C].
    """
    height, width, inputs, channels = kernel.shape
    together = WIDE // inputs
    parts = kernel.reshape(height, width, inputs, channels // WIDE, together, inputs)
    parts = parts.transpose(3, 1, 0, 2, 4, 5)[:, :, :, None]
    own = jnp.eye(together, dtype=bool)[None, None, None, :, None, :, None]
    blocks = jnp.where(own, parts, jnp.zeros((), kernel.dtype))
    return blocks.reshape(channels // WIDE, width, height * WIDE, WIDE)


def _rows(vector: jax.Array, size: int) -> jax.Array:
    """[n, size] in float32."""
    return vector.astype(jnp.float32).reshape(-1, size)


def _reached(x: jax.Array, tiles: Tiles, how: Known) -> jax.Array:
    """x with zeros as far as tiles reach, for the interpreter: its copies end at the edge."""
    more = (tiles.down * tiles.rows - tiles.size[0], tiles.across * tiles.columns - tiles.size[1])
    return how.window.padded(x, more)
