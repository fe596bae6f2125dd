"""Blocks on TPU: how many rows of a picture a program takes, and the call that both blocks make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import chains, mosaic
from kernels_pallas.chains import Layer
from kernels_pallas.conv2d.window import Window
from kernels_pallas.convfirst_block.block import BlockWeights, Known
from kernels_pallas.costs import Cost
from kernels_pallas.grouped_conv2d.mosaic_tpu_rows import LANES, ROWS, Rows, lanes, pitch, sums

MEMORY = 13 << 20
"""Bytes of VMEM for weights, pictures, results and hidden channels; a kernel has 16 MiB."""

CHUNK = 256
"""Most pixels that pass through both products at once."""


class Tiles(NamedTuple):
    """How a picture is cut for programs.

    Args:
        rows: how its rows lie, and how many a program takes.
        size: height and width of the result.
    """

    rows: Rows
    size: tuple[int, int]

    @classmethod
    def fitting(
        cls,
        x_shape: Sequence[int],
        kernel_shape: Sequence[int],
        window: Window,
        *,
        held: int,
        read: int,
        written: int,
        chunk: int,
        memory: int,
    ) -> Tiles:
        """As many rows as fit, the whole picture at most; below 1 where none does.

        Args:
            x_shape: [B, H, W, C].
            kernel_shape: [R, S, G, channels].
            window: of the spatial convolution.
            held: bytes of the weights.
            read, written, chunk: bytes of a pixel that is read, written, and in a chunk.
            memory: bytes there are.
        """
        taps = (kernel_shape[0], kernel_shape[1])
        size = window.outputs(x_shape[1:3], taps)
        across = pitch(window, tuple(x_shape))
        free = memory - held - CHUNK * chunk - across * taps[0] * read
        most = min(size[0], free // (across * (read + written)))
        # Programs of a picture take rows alike, as few as its count of programs allows.
        block = -(-size[0] // -(-size[0] // most)) if most >= 1 else 0
        return cls(Rows(taps, across, block, -(-size[0] // block) if block else 0), size)

    def centre(self, window: Window) -> tuple[int, int]:
        """Pixels down, in whole rows, and right from a tap's corner to the pixel it is added to."""
        (above, _), (left, _) = window.padding
        return above * self.rows.pitch, left


def unfit_block(x: jax.Array, block: BlockWeights, how: Known) -> str:
    """Why no block's kernel can take these inputs, memory aside; empty where it can."""
    width = block.kernel.shape[2]
    if how.window.strides != (1, 1):
        return f"the kernel is for strides of 1, not {how.window.strides}"
    if LANES % width:
        return f"groups of {width} channels do not share {LANES} lanes"
    if x.dtype.name not in ("float32", "bfloat16"):
        return f"x has dtype {x.dtype}; mosaic_tpu takes float32, bfloat16"
    return ""


def call(
    kernel: Callable[..., None],
    x: jax.Array,
    arrays: Sequence[jax.Array],
    tiles: Tiles,
    how: Known,
    chain: Sequence[Layer],
    *,
    name: str,
    interpret: bool,
    scratch: Sequence[Any] = (),
) -> jax.Array:
    """Runs a block's kernel over pictures and rows, and cuts out the result [B, h, w, K].

    Args:
        kernel: of references to the pixels, `arrays`, the result and `scratch`.
        x: [B, H, W, C].
        arrays: weights, which every program has whole; the last is [1, lanes of K].
        tiles: how pictures are cut.
        how: what is static.
        chain: the block's layers.
        name: of the kernel.
        interpret: whether it runs in the interpreter.
        scratch: of a program.
    """
    rows, column = tiles.rows, tiles.rows.column(x, how.window)
    inside, outside = column.shape[2], arrays[-1].shape[1]
    found = mosaic.call(
        kernel,
        grid=(x.shape[0], rows.blocks),
        in_specs=[
            pl.BlockSpec(
                (pl.Squeezed(), pl.Element(rows.read), pl.Element(inside)),
                lambda b, i: (b, i * rows.written, 0),
            ),
            *(_held(array) for array in arrays),
        ],
        out_specs=pl.BlockSpec((None, rows.written, outside), lambda b, i: (b, i, 0)),
        out_shape=jax.ShapeDtypeStruct((x.shape[0], rows.blocks * rows.written, outside), x.dtype),
        scratch_shapes=list(scratch),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel")),
        cost_estimate=moved(x, arrays, rows, chain).estimate(),
        interpret=interpret,
        name=name,
    )(column, *arrays)
    outputs = chain[-1].outputs // (x.shape[0] * tiles.size[0] * tiles.size[1])
    return rows.picture(found, tiles.size, outputs)


def moved(x: jax.Array, arrays: Sequence[jax.Array], rows: Rows, chain: Sequence[Layer]) -> Cost:
    """What the grid reads and writes, with rows between programs twice and lanes that are padding.

    Args:
        x: the pictures.
        arrays: weights, read once.
        rows: how pictures are cut.
        chain: the block's layers.
    """
    one = chains.cost(chain, fused=True, residual=False, itemsize=x.dtype.itemsize)
    pixels = rows.read * lanes(x.shape[3]) + rows.written * arrays[-1].shape[1]
    elements = x.shape[0] * rows.blocks * pixels + sum(array.size for array in arrays)
    return Cost(one.macs, elements * x.dtype.itemsize, one.transcendentals)


def spatial(x_ref: Any, taps_ref: Any, here: Any, rows: Rows, term: Any) -> jax.Array:
    """The grouped convolution of all channels at a chunk of pixels, in float32."""
    parts = [
        sums(x_ref.at[:, pl.ds(number * LANES, LANES)], taps_ref.at[number], here, rows, term)
        for number in range(taps_ref.shape[0])
    ]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def each_chunk(pixels: int, do: Callable[[Any], None]) -> None:
    """Calls `do` with slices of pixels: equal ones, of `CHUNK` at most."""
    sizes = range(ROWS, min(CHUNK, pixels) + 1, ROWS)
    chunk = max(size for size in sizes if pixels % size == 0)

    def one(number: jax.Array, _: None) -> None:
        do(pl.ds(pl.multiple_of(number * chunk, ROWS), chunk))

    jax.lax.fori_loop(0, pixels // chunk, one, None)


def row(vector: jax.Array, size: int) -> jax.Array:
    """[1, size] in float32, filled with zeros."""
    return jnp.pad(vector.astype(jnp.float32), (0, size - vector.shape[0]))[None]


def whole(matrix: jax.Array, high: int, wide: int) -> jax.Array:
    """[high, wide], filled with zeros."""
    return jnp.pad(matrix, ((0, high - matrix.shape[0]), (0, wide - matrix.shape[1])))


def _held(array: jax.Array) -> pl.BlockSpec:
    """The whole of an array, the same for every program: one buffer does."""
    zeros = (0,) * array.ndim
    return pl.BlockSpec(array.shape, lambda b, i: zeros, pipeline_mode=pl.Buffered(1))
