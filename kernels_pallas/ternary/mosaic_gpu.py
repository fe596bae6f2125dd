"""Kernels for Hopper: norm with quantisation (for B200 too), and the ternary product.

The product is taken the other way round, out^T = w^T x^T: codes go from shared memory into the
registers that the tensor core's int8 product takes its first factor from, are masked there, and
never written back. The bytes of the "columns" layout are in the order of those registers. Few rows
of x then cost an instruction of 8 columns, not of 64 rows.

A masked byte is a code times 1, 4, 16 or 64, one operation for four weights; each has a sum of its
own, brought back by one shift at the end. The highest two bits have their top bit turned over, so
that 64 (code - 2) is what the signed byte says.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas import hopper, tuning
from kernels_pallas.ternary.packing import DEEP, TILE, PackedTernary
from kernels_pallas.ternary.reference import FLOOR

SLAB = DEEP // 4
"""Rows of K in one product: 64 bytes, the least that a register operand of int8 may have."""
ROWS = 64
"""Columns of w in a program: the rows of one product."""
MASKS = [np.uint8(3 << 2 * part).view(np.int8) for part in range(4)]
TOP = np.uint8(128).view(np.int8)
THREADS = 128
DEEPEST = 1 << 18
"""K up to which the sum of products of 64 times a code stays in int32."""
WIDEST = 16384
"""Row width up to which a row's float32 values fit in one warpgroup's registers."""


def unfit_width(width: int) -> str:
    """Why the norm cannot take this width; empty where it can."""
    if width % THREADS:
        return f"K={width} is not a multiple of 128"
    return f"K={width} is above {WIDEST}" if width > WIDEST else ""


def unfit_matmul(rows: int, packed: PackedTernary) -> str:
    """Why the product cannot take these sizes; empty where it can."""
    if packed.rows % TILE:
        return f"K={packed.rows} is not a multiple of 128"
    return f"K={packed.rows} is above {DEEPEST}" if packed.rows > DEEPEST else ""


def rms_norm_quantize(
    x: jax.Array, weight: jax.Array, *, eps: float, interpret: bool, kind: str
) -> tuple[jax.Array, jax.Array]:
    """int8 [M, K] and scale [M, 1] of x [M, K]: a warpgroup a row, which stays in registers."""
    rows, width = x.shape
    codes, scale = hopper.kernel(
        functools.partial(_norm_kernel, eps=eps, interpret=interpret),
        out_type=[
            jax.ShapeDtypeStruct((rows, width), jnp.int8),
            jax.ShapeDtypeStruct((rows, THREADS), jnp.float32),
        ],
        grid=(rows,),
        grid_names=("row",),
        kernel_name="rms_norm_quantize",
        interpret=interpret,
    )(x, weight)
    return codes, scale[:, :1]


def _norm_kernel(
    x_ref: Any, weight_ref: Any, codes_ref: Any, scale_ref: Any, *, eps: float, interpret: bool
):
    row = lax.axis_index("row")
    width = x_ref.shape[1]
    vector = next(size for size in (4, 2, 1) if width % (THREADS * size) == 0)

    def strided(values: jax.Array) -> jax.Array:
        if interpret:
            return values
        return plgpu.layout_cast(values, plgpu.Layout.WG_STRIDED((width,), vec_size=vector))

    x = strided(x_ref[row]).astype(jnp.float32)
    gain = strided(weight_ref[...]).astype(jnp.float32)
    mean = jnp.sum(x * x) / width
    y = x * lax.rsqrt(mean + eps) * gain
    # A maximum passes over NaN; a sum does not. A mean beyond the float range is one too.
    spoiled = jnp.sum(y * 0.0) + mean * 0.0
    top = jnp.maximum(jnp.max(jnp.abs(y)), FLOOR)
    rounded = jnp.minimum(jnp.maximum(jnp.round(y * (127.0 / top)), -128.0), 127.0)
    good = spoiled == 0.0
    codes = jnp.where(jnp.broadcast_to(good, y.shape), rounded, jnp.zeros_like(rounded))
    codes_ref[row] = codes.astype(jnp.int32).astype(jnp.int8)
    scale = top / 127.0 + spoiled
    scale_ref[row] = jnp.broadcast_to(scale, (THREADS,))


def ternary_matmul(
    x: jax.Array, scale: jax.Array, packed: PackedTernary, *, dtype: Any, interpret: bool, kind: str
) -> jax.Array:
    """(x @ w) * scale [M, N]."""
    found = ternary_matmul_int32(x, packed, interpret=interpret, kind=kind)
    return (found.astype(jnp.float32) * scale).astype(dtype)


def ternary_matmul_int32(
    x: jax.Array, packed: PackedTernary, *, interpret: bool, kind: str
) -> jax.Array:
    """x @ w in int32. Where tiles of N are few, programs share the rows of K and XLA adds up."""
    sizes = tuning.blocks("ternary", "mosaic_gpu", kind)
    m = x.shape[0]
    codes = packed.with_layout("columns").codes
    deep, columns = codes.shape[:2]
    halves = columns * TILE // ROWS
    block = min(sizes["rows"], -(-m // 8) * 8)
    blocks = -(-m // block)
    x = jnp.pad(x, ((0, blocks * block - m), (0, deep * DEEP - packed.rows)))
    wanted = max(1, sizes["ctas"] // (blocks * halves))
    shares = max(size for size in range(1, min(deep, wanted) + 1) if deep % size == 0)
    kernel = hopper.kernel(
        functools.partial(
            _matmul_kernel, block, halves, deep // shares, sizes["stages"], interpret
        ),
        out_type=jax.ShapeDtypeStruct((shares * halves * ROWS, blocks * block), jnp.int32),
        grid=(blocks, halves, shares),
        grid_names=("rows", "columns", "share"),
        kernel_name="ternary_matmul",
        interpret=interpret,
    )
    found = kernel(x, lax.bitcast_convert_type(codes, jnp.int8).reshape(-1, SLAB))
    found = found.reshape(shares, columns * TILE, blocks * block)
    out = jnp.sum(found, axis=0, dtype=jnp.int32)[: packed.columns, :m].T
    # The kernel's codes are w + 1 in the first three quarters of a tile, w - 1 in the last.
    slabs = jnp.sum(x[:m].reshape(m, deep, 4, SLAB), axis=(1, 3), dtype=jnp.int32)
    return out + (slabs[:, 3:] - jnp.sum(slabs[:, :3], axis=1, keepdims=True))


def _matmul_kernel(
    block: int, halves: int, steps: int, stages: int, interpret: bool, x_ref: Any, codes_ref: Any,
    out_ref: Any,
):  # fmt: skip
    i, j, share = (lax.axis_index(name) for name in ("rows", "columns", "share"))
    first = share * steps
    swizzled = (plgpu.TilingTransform((8, SLAB)), plgpu.SwizzleTransform(SLAB))

    def in_registers(values: jax.Array, layout: Any) -> jax.Array:
        return values if interpret else plgpu.layout_cast(values, layout)

    def step(_, x_s, codes_s, sums):
        codes = in_registers(codes_s[...], plgpu.Layout.WGMMA_8BIT)
        parts = [codes & MASKS[part] for part in range(4)]
        parts[3] = parts[3] ^ TOP
        slabs = [x_s.at[:, pl.ds(part * SLAB, SLAB)] for part in range(4)]
        if interpret:
            return tuple(
                old + _dot(a, slab[...]) for old, a, slab in zip(sums, parts, slabs, strict=True)
            )

        def products(accumulators):
            for accumulator, a, slab in zip(accumulators, parts, slabs, strict=True):
                plgpu.wgmma(accumulator, a, slab.transpose((1, 0)))

        return pl.run_state(products)(tuple(plgpu.ACC.init(old) for old in sums))

    zeros = in_registers(jnp.zeros((ROWS, block), jnp.int32), plgpu.Layout.WGMMA)
    sums = plgpu.emit_pipeline(
        step,
        grid=(steps,),
        max_concurrent_steps=min(stages, steps),
        in_specs=[
            plgpu.BlockSpec((block, DEEP), lambda t: (i, first + t), transforms=swizzled),
            plgpu.BlockSpec(
                (ROWS, SLAB), lambda t: ((first + t) * halves + j, 0), transforms=swizzled
            ),
        ],
        init_carry=(zeros,) * 4,
    )(x_ref, codes_ref)
    found = sums[0]
    for part in (1, 2, 3):
        found = found + (sums[part] >> np.int32(2 * part))
    out_ref[pl.ds((share * halves + j) * ROWS, ROWS), pl.ds(i * block, block)] = found


def _dot(codes: jax.Array, x: jax.Array) -> jax.Array:
    """codes x^T for the interpreter, which has no product of registers."""
    return lax.dot_general(codes, x, (((1,), (1,)), ((), ())), preferred_element_type=jnp.int32)
