"""TPU kernels: norm with quantisation, and the ternary product on the int8 matrix unit.

A tile's [32, 128] bytes are one register. Taken as 32-bit words, shifting by 2 j and masking gives
the codes of 32 rows at once, four to a word: five operations for 4096 weights, in row order.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import mosaic, tuning
from kernels_pallas.ternary import cost
from kernels_pallas.ternary.packing import BYTES, TILE, PackedTernary
from kernels_pallas.ternary.reference import FLOOR

MASK, TOP, ONE = np.int32(0x03030303), np.uint32(0x80808080).view(np.int32), np.int32(0x01010101)
WIDEST = 16384
"""Row width up to which a block of rows and its float32 copies fit in 16 MiB."""


def unfit_width(width: int) -> str:
    """Why the norm cannot take this width; empty where it can."""
    if width % TILE:
        return f"K={width} is not a multiple of 128"
    return f"K={width} is above {WIDEST}" if width > WIDEST else ""


def unfit_matmul(rows: int, packed: PackedTernary) -> str:
    """Why the product cannot take these sizes; empty where it can."""
    return f"K={packed.rows} is not a multiple of 128" if packed.rows % TILE else ""


def rms_norm_quantize(
    x: jax.Array, weight: jax.Array, *, eps: float, interpret: bool, kind: str
) -> tuple[jax.Array, jax.Array]:
    """int8 [M, K] and scale [M, 1] of x [M, K]: one read of x, by blocks of rows."""
    rows, width = x.shape
    # 12 bytes an element in float32 copies beside the blocks themselves: 4 MiB at most.
    most = max(32, (1 << 18) // width // 32 * 32)
    block = min(tuning.blocks("ternary", "mosaic_tpu", kind)["norm_rows"], most, _up(rows, 32))
    scale = jax.ShapeDtypeStruct((rows, 1), jnp.float32)
    return mosaic.call(
        functools.partial(_norm_kernel, eps=eps),
        grid=(pl.cdiv(rows, block),),
        in_specs=[
            pl.BlockSpec((block, width), lambda i: (i, 0)),
            pl.BlockSpec((1, width), lambda i: (0, 0)),
        ],
        out_specs=[
            pl.BlockSpec((block, width), lambda i: (i, 0)),
            pl.BlockSpec((block, 1), lambda i: (i, 0)),
        ],
        out_shape=[jax.ShapeDtypeStruct(x.shape, jnp.int8), scale],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
        cost_estimate=cost.rms_norm_quantize(rows, width, x.dtype.itemsize).estimate(),
        interpret=interpret,
        name="rms_norm_quantize",
    )(x, weight.reshape(1, width))


def _norm_kernel(x_ref: Any, weight_ref: Any, codes_ref: Any, scale_ref: Any, *, eps: float):
    x = x_ref[...].astype(jnp.float32)
    mean = jnp.mean(x * x, axis=1, keepdims=True)
    y = x * jax.lax.rsqrt(mean + eps) * weight_ref[...].astype(jnp.float32)
    # A maximum may pass over NaN; a sum does not. A mean beyond the float range is one too.
    spoiled = jnp.sum(y * 0.0, axis=1, keepdims=True) + mean * 0.0
    top = jnp.maximum(jnp.max(jnp.abs(y), axis=1, keepdims=True), FLOOR)
    good = spoiled == 0.0
    rounded = jnp.clip(jnp.round(y * (127.0 / top)), -128.0, 127.0)
    codes_ref[...] = jnp.where(good, rounded, 0.0).astype(jnp.int8)
    scale_ref[...] = jnp.where(good, top / 127.0, jnp.nan)


def ternary_matmul(
    x: jax.Array, scale: jax.Array, packed: PackedTernary, *, dtype: Any, interpret: bool, kind: str
) -> jax.Array:
    """(x @ w) * scale [M, N]."""
    return _matmul(x, scale, packed, dtype, interpret, kind)


def ternary_matmul_int32(
    x: jax.Array, packed: PackedTernary, *, interpret: bool, kind: str
) -> jax.Array:
    """x @ w in int32."""
    return _matmul(x, None, packed, jnp.int32, interpret, kind)


def _matmul(
    x: jax.Array, scale: jax.Array | None, packed: PackedTernary, dtype: Any, interpret: bool,
    kind: str,
) -> jax.Array:  # fmt: skip
    sizes = tuning.blocks("ternary", "mosaic_tpu", kind)
    m, k = x.shape
    few = _up(m, 32)
    if m < 32:  # a register holds 32 rows of int8: fewer gain nothing
        x = jnp.pad(x, ((0, few - m), (0, 0)))
        scale = None if scale is None else jnp.pad(scale, ((0, few - m), (0, 0)))
    codes = packed.with_layout("rows").codes
    tiles, columns = codes.shape[:2]
    depth = _divisor(tiles, sizes["row_tiles"])
    wide = _divisor(columns, sizes["column_tiles"])
    block = min(sizes["rows"], few)
    bk, bn = depth * TILE, wide * TILE
    rows = max(m, few) if m < 32 else m
    arrays = [x, codes]
    in_specs = [
        pl.BlockSpec((block, bk), lambda i, j, t: (i, t)),
        pl.BlockSpec((depth, wide, BYTES, TILE), lambda i, j, t: (t, j, 0, 0)),
    ]
    if scale is not None:
        arrays.append(scale)
        in_specs.append(pl.BlockSpec((block, 1), lambda i, j, t: (i, 0)))
    out = mosaic.call(
        functools.partial(_matmul_kernel, scaled=scale is not None),
        grid=(pl.cdiv(rows, block), columns // wide, tiles // depth),
        in_specs=in_specs,
        out_specs=pl.BlockSpec((block, bn), lambda i, j, t: (i, j)),
        out_shape=jax.ShapeDtypeStruct((rows, columns * TILE), dtype),
        scratch_shapes=[pltpu.VMEM((bk, bn), jnp.int8), pltpu.VMEM((block, bn), jnp.int32)],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary")
        ),
        cost_estimate=cost.ternary_matmul(m, k, packed.columns).estimate(),
        interpret=interpret,
        name="ternary_matmul",
    )(*arrays)
    return out[:m, : packed.columns]


def _matmul_kernel(x_ref: Any, codes_ref: Any, *refs: Any, scaled: bool):
    scale_ref = refs[0] if scaled else None
    out_ref, w_ref, sum_ref = refs[-3:]

    @pl.when(pl.program_id(2) == 0)
    def _():
        sum_ref[...] = jnp.zeros_like(sum_ref)

    for t in range(codes_ref.shape[0]):
        for c in range(codes_ref.shape[1]):
            words = pltpu.bitcast(codes_ref[t, c], jnp.int32)
            for j in range(4):
                code = jax.lax.shift_right_logical(words, np.int32(2 * j)) & MASK
                # code - 1 in every byte: the top bit is lent and taken back.
                signed = ((code | TOP) - ONE) ^ TOP
                row = t * TILE + j * BYTES
                w_ref[row : row + BYTES, c * TILE : (c + 1) * TILE] = pltpu.bitcast(
                    signed, jnp.int8
                )
    sum_ref[...] += jnp.dot(x_ref[...], w_ref[...], preferred_element_type=jnp.int32)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        total = sum_ref[...]
        if scale_ref is not None:
            total = total.astype(jnp.float32) * scale_ref[...]
        out_ref[...] = total.astype(out_ref.dtype)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def _divisor(count: int, most: int) -> int:
    return max(size for size in range(1, min(count, most) + 1) if count % size == 0)
