"""Plain XLA for any device, with a CPU path of its own for few rows of activations.

A CPU with few rows is bound by unpacking. Products of int8 and codes 0, 1, 2 stay in int16 for a
whole tile of 128 rows, so a 256-bit register takes 16 columns, the width of the layout "strips";
per four weights of a column that is one widening load, three shifts, four products and four sums.
(Bit planes with popcount need about twice the instructions where a processor has no vector
popcount, and gain little where it has one.)
"""

from __future__ import annotations

import functools
import operator

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import manual, tuning
from kernels_pallas.dtypes import accumulator
from kernels_pallas.ternary.packing import (
    BYTES,
    PackedTernary,
    matrix_of,
    unpack_filled,
)
from kernels_pallas.ternary.reference import FLOOR


def rms_norm_quantize(x: jax.Array, weight: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """Arguments as in `kernels_pallas.rms_norm_quantize`; statistics in float32 at least."""
    kind = accumulator(x.dtype)
    y, _ = norm_and_root(x.astype(kind), weight.astype(kind), eps)
    return quantize(y)


def norm_and_root(x: jax.Array, weight: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """y = x r * weight and r = 1 / sqrt(mean(x^2) + eps), NaN where the mean overflows."""
    mean = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    root = jnp.where(jnp.isfinite(mean), lax.rsqrt(mean + jnp.asarray(eps, x.dtype)), jnp.nan)
    return x * root * weight.reshape((1,) * (x.ndim - 1) + weight.shape), root


def quantize(y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """int8 codes and scale of each row; a row that is not finite gets zeros and NaN."""
    top = jnp.maximum(jnp.max(jnp.abs(y), axis=-1, keepdims=True), jnp.asarray(FLOOR, y.dtype))
    # The maximum of a row passes over NaN in some of XLA's loops; a sum does not.
    good = jnp.isfinite(top) & (jnp.sum(y * jnp.zeros_like(y), axis=-1, keepdims=True) == 0)
    rounded = jnp.clip(jnp.round(y * (jnp.asarray(127, y.dtype) / top)), -128, 127)
    codes = jnp.where(good, rounded, jnp.zeros_like(rounded)).astype(jnp.int8)
    return codes, jnp.where(good, top / jnp.asarray(127, y.dtype), jnp.nan)


def ternary_matmul_int32(x: jax.Array, packed: PackedTernary, *index: jax.Array) -> jax.Array:
    """x [M, K] int8 @ w in int32, exact for K up to 2^24; with an index, w of a stack."""
    if x.shape[0] <= tuning.blocks("ternary", "xla")["few_rows"]:
        out = lax.platform_dependent(x, packed, *index, cpu=_few_rows, default=_unpacked)
    else:
        out = _unpacked(x, packed, *index)
    return out[:, : packed.columns]


def int8_matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    """x @ w of int8 in int32. One row takes a scalar loop on CPU, two take a library: pad."""
    rows = x.shape[0]
    if rows == 1:
        x = jnp.pad(x, ((0, 1), (0, 0)))
    return jnp.matmul(x, w, preferred_element_type=jnp.int32)[:rows]


def _unpacked(x: jax.Array, packed: PackedTernary, *index: jax.Array) -> jax.Array:
    return int8_matmul(_filled(x, packed), unpack_filled(_one(packed, *index)))


def _few_rows(x: jax.Array, packed: PackedTernary, *index: jax.Array) -> jax.Array:
    """Each row of x over all weights; M is part of the program, which grows with it."""
    if packed.layout == "columns":
        packed, index = _one(packed, *index).with_layout("strips"), ()
    codes = packed.codes
    tiles, blocks, _, wide = codes.shape[-4:]
    slabs = _filled(x, packed).astype(jnp.int16).reshape(-1, tiles, 4, BYTES)
    parts = [_tile_sums(row, codes, *index) for row in slabs]

    def total(parts: list[jax.Array]) -> jax.Array:
        sums = [jnp.sum(part, axis=0, dtype=jnp.int32).reshape(blocks * wide) for part in parts]
        return jnp.stack(sums)

    def never(parts: list[jax.Array]) -> jax.Array:
        return manual.varying(jnp.zeros((len(parts), blocks * wide), jnp.int32), parts)

    # True, which XLA cannot know. What it hands over is in memory as it is; without it XLA puts
    # the products into the loop of the sum over tiles, which is then not one of 16-bit vectors.
    always = jnp.abs(x[0, 0].astype(jnp.int32)) <= 128
    with_codes = lax.cond(always, total, never, parts)  # w + 1
    return with_codes - jnp.sum(x, axis=1, keepdims=True, dtype=jnp.int32)


def _one(packed: PackedTernary, *index: jax.Array) -> PackedTernary:
    return matrix_of(packed, *index) if index else packed


def _filled(x: jax.Array, packed: PackedTernary) -> jax.Array:
    """Zeros for the rows of w that fill its last tile."""
    return jnp.pad(x, ((0, 0), (0, packed.filled - packed.rows)))


def _tile_sums(slabs: jax.Array, codes: jax.Array, *index: jax.Array) -> jax.Array:
    """sum over a tile's 128 rows of x (w + 1): int16 [K/128, N/wide, 1, wide].

    A byte b holds codes c_j, and c_j = (b >> 2 j) - 4 (b >> 2 j + 2). So the sum of x_j c_j is that
    of (b >> 2 j) (x_j - 4 x_{j-1}), without masks. Its terms may leave int16 and its result does
    not, |sum| <= 128 * 128 * 2: what wraps around comes back.

    Every value has the one shape: reshaping between makes XLA pass the shift counts as variables,
    whose shifts are then branches.
    """
    tiles, blocks, _, wide = codes.shape[-4:]
    shape = (tiles, blocks, 1, wide)
    before = jnp.pad(slabs[:, :3], ((0, 0), (1, 0), (0, 0)))
    steps = slabs - before * jnp.int16(4)
    products = []
    for r in range(BYTES):
        byte = _byte_row(codes, r, *index).astype(jnp.int16)
        for j in range(4):
            part = lax.shift_right_logical(byte, lax.full(shape, 2 * j, jnp.int16)) if j else byte
            x = lax.squeeze(lax.slice(steps, (0, j, r), (tiles, j + 1, r + 1)), (1, 2))
            products.append(part * lax.broadcast_in_dim(x, shape, (0,)))
    return functools.reduce(operator.add, products)


def _byte_row(codes: jax.Array, r: int, *index: jax.Array) -> jax.Array:
    """Row r of every tile; of a stack, cut out of it at once, so that no matrix is copied."""
    if not index:
        return lax.slice_in_dim(codes, r, r + 1, axis=2)
    _, tiles, blocks, _, columns = codes.shape
    at = index[0]
    start = (at, *(jnp.asarray(place, at.dtype) for place in (0, 0, r, 0)))
    return lax.dynamic_slice(codes, start, (1, tiles, blocks, 1, columns))[0]
