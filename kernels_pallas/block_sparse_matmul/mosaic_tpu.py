"""The product with kept blocks on TPU: their places are numbers that the grid reads beforehand.

The grid's last axis walks the kept blocks column by column. Each step multiplies the inputs of the
block's row, and the sums of a column stay in VMEM until the walk leaves it; blocks that are not
kept take no step and no traffic. A column without blocks takes one step, which writes zeros.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import mosaic
from kernels_pallas.block_sparse_matmul.pattern import BlockPattern
from kernels_pallas.costs import Cost

LANES = 128
ROWS = 512
"""Rows of x in a program, of which a block is multiplied with all before the next is read."""

_TILE = 16
"""Rows of a tile of 16-bit numbers."""


def unfit(x: jax.Array, pattern: BlockPattern) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    high, wide = pattern.block
    if high % LANES or wide % LANES:
        return f"blocks of {high} x {wide} do not fill {LANES} lanes; pack blocks of {LANES}"
    if x.dtype.name not in ("float32", "bfloat16"):
        return f"x has dtype {x.dtype}; mosaic_tpu takes float32, bfloat16"
    if not pattern.kept:
        return "no block is kept"
    return ""


def block_sparse_matmul(
    x: jax.Array, blocks: jax.Array, pattern: BlockPattern, *, interpret: bool
) -> jax.Array:
    """[M, N] of x [M, K]; what does not fit is in `unfit`."""
    high, wide = pattern.block
    padded, tile = _padded(x, pattern.filled[0])
    steps = _steps(pattern)
    count = steps.shape[1]
    found = mosaic.call(
        _product_kernel,
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=4,
            grid=(padded.shape[0] // tile, count),
            in_specs=[
                pl.BlockSpec((tile, high), lambda i, s, block, row, *_: (i, row[s])),
                pl.BlockSpec((None, high, wide), lambda i, s, block, *_: (block[s], 0, 0)),
            ],
            out_specs=pl.BlockSpec(
                (tile, wide), lambda i, s, block, row, column, _: (i, column[s])
            ),
            scratch_shapes=[pltpu.VMEM((tile, wide), jnp.float32)],
        ),
        out_shape=jax.ShapeDtypeStruct((padded.shape[0], pattern.filled[1]), x.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
        cost_estimate=_read(padded, tile, pattern, blocks.dtype.itemsize).estimate(),
        interpret=interpret,
        name="block_sparse_matmul",
    )(*steps, padded, blocks)
    return found[: x.shape[0], : pattern.columns]


def gradient_of_blocks(
    x: jax.Array, gradient: jax.Array, pattern: BlockPattern, *, interpret: bool
) -> jax.Array:
    """xᵀ g at the kept blocks: a program a block, whose last axis walks the rows."""
    high, wide = pattern.block
    padded, tile = _padded(x, pattern.filled[0])
    slopes, _ = _padded(gradient, pattern.filled[1])
    rows, columns = np.array(pattern.kept, np.int32).T
    return mosaic.call(
        _gradient_kernel,
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(len(pattern.kept), padded.shape[0] // tile),
            in_specs=[
                pl.BlockSpec((tile, high), lambda n, t, row, column: (t, row[n])),
                pl.BlockSpec((tile, wide), lambda n, t, row, column: (t, column[n])),
            ],
            out_specs=pl.BlockSpec((None, high, wide), lambda n, t, *_: (n, 0, 0)),
            scratch_shapes=[pltpu.VMEM((high, wide), jnp.float32)],
        ),
        out_shape=jax.ShapeDtypeStruct((len(pattern.kept), high, wide), x.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
        cost_estimate=_read_backward(padded, pattern).estimate(),
        interpret=interpret,
        name="block_sparse_matmul_gradient",
    )(rows, columns, padded, slopes)


def _product_kernel(
    block: Any, row: Any, column: Any, live: Any, x_ref: Any, w_ref: Any, out_ref: Any, sum_ref: Any
) -> None:
    step, last = pl.program_id(1), pl.num_programs(1) - 1
    here = column[step]

    @pl.when((step == 0) | (column[jnp.maximum(step - 1, 0)] != here))
    def _() -> None:
        sum_ref[...] = jnp.zeros_like(sum_ref)

    @pl.when(live[step] == 1)
    def _() -> None:
        sum_ref[...] += _dot(x_ref[...], w_ref[...], 1)

    @pl.when((step == last) | (column[jnp.minimum(step + 1, last)] != here))
    def _() -> None:
        out_ref[...] = sum_ref[...].astype(out_ref.dtype)


def _gradient_kernel(
    row: Any, column: Any, x_ref: Any, slope_ref: Any, out_ref: Any, sum_ref: Any
) -> None:
    step = pl.program_id(1)

    @pl.when(step == 0)
    def _() -> None:
        sum_ref[...] = jnp.zeros_like(sum_ref)

    sum_ref[...] += _dot(x_ref[...], slope_ref[...], 0)

    @pl.when(step == pl.num_programs(1) - 1)
    def _() -> None:
        out_ref[...] = sum_ref[...].astype(out_ref.dtype)


def _dot(left: jax.Array, right: jax.Array, axis: int) -> jax.Array:
    """Summed over an axis of the left and the first of the right, in float32."""
    return jax.lax.dot_general(
        left,
        right,
        (((axis,), (0,)), ((), ())),
        precision="highest" if left.dtype == jnp.float32 else None,
        preferred_element_type=jnp.float32,
    )


def _steps(pattern: BlockPattern) -> np.ndarray:
    """Block, its row and column, and whether there is one: [4, steps], column by column."""
    steps, number = [], 0
    for column, rows in enumerate(pattern.rows_of):
        for row in rows:
            steps.append((number, row, column, 1))
            number += 1
        if not rows:  # what was read last is read no second time
            before = steps[-1][:2] if steps else (0, 0)
            steps.append((*before, column, 0))
    return np.array(steps, np.int32).T


def _padded(x: jax.Array, columns: int) -> tuple[jax.Array, int]:
    """x to whole tiles of rows and so many columns, with zeros; and the rows of a tile."""
    tile = min(ROWS, -(-x.shape[0] // _TILE) * _TILE)
    return jnp.pad(x, ((0, -x.shape[0] % tile), (0, columns - x.shape[1]))), tile


def _read(x: jax.Array, tile: int, pattern: BlockPattern, itemsize: int) -> Cost:
    """What the grid reads and writes: x once a kept block, the blocks once a tile of rows."""
    high, wide = pattern.block
    rows, kept = x.shape[0], len(pattern.kept)
    inputs = rows * high * kept
    weights = rows // tile * kept * high * wide
    return Cost(rows * kept * high * wide, (inputs + weights + rows * pattern.filled[1]) * itemsize)


def _read_backward(x: jax.Array, pattern: BlockPattern) -> Cost:
    high, wide = pattern.block
    rows, kept = x.shape[0], len(pattern.kept)
    moved = kept * (rows * (high + wide) + high * wide)
    return Cost(rows * kept * high * wide, moved * x.dtype.itemsize)
