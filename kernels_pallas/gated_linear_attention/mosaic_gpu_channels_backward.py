"""Gradients inside every chunk on Hopper, for a gate of one number per channel."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.gated_linear_attention import mosaic_gpu_gradients
from kernels_pallas.gated_linear_attention import mosaic_gpu_unit as unit
from kernels_pallas.gated_linear_attention.mosaic_gpu_unit import (
    CHUNK,
    COLUMNS,
    LEVELS,
    LOW,
    ROWS,
    Operand,
    Unit,
)


def gradients(*arrays: jax.Array, scale: float, interpret: Any) -> tuple[jax.Array, ...]:
    """`mosaic_gpu_gradients.gradients` of log decays [B, T, H, K], its arrays in their order."""
    scratch = [unit.stack(len(_Tiles._fields))]
    return mosaic_gpu_gradients.gradients(
        _inside, scratch, *arrays, scale=scale, interpret=interpret
    )


class _Tiles(NamedTuple):
    """Tiles of a chunk's square that hold the second factors of products.

    Args:
        high, low: log decays in two pieces.
        scores: gradient of the scores.
        pairs: those of one level.
        sums: the 0/1 matrix of one level.
        near: queries or keys as one level decays them.
        exponents: gradient of what a level exponentiates.
    """

    high: Any
    low: Any
    scores: Any
    pairs: Any
    sums: Any
    near: Any
    exponents: Any

    def decays(self, on: Unit, matrix: jax.Array) -> jax.Array:
        """exp of sums of log decays; leaves the matrix in `sums`."""
        self.sums[...] = matrix
        plgpu.commit_smem()
        return jnp.exp(on.product((self.sums, self.high), (self.sums, self.low)))

    def factor(self, right: jax.Array) -> Any:
        """A second factor of a product, in `near`."""
        self.near[...] = right.astype(LOW)
        plgpu.commit_smem()
        return self.near


def _inside(on, scale, both_s, gates_s, whole_s, sums, stack):
    """Leaves dq and dk where q and k were, and the log decays' gradient in `gates_s`."""
    (q_s, k_s), (d_scores, dq, dk, whole) = unit.tiles(both_s), sums
    tiles = _Tiles(*unit.tiles(stack))
    tiles.scores[...] = (scale * d_scores).astype(LOW)
    whole_s[...] = whole * on.vector(whole_s[...], ROWS)
    unit.split(gates_s[...], tiles.high, tiles.low)

    def wide(values: jax.Ref) -> jax.Array:
        return values[...].astype(jnp.float32)

    def add(*products: tuple[Any, Any]) -> None:
        (gates_s[...],) = on.sums((gates_s[...],), (products,))

    unsums = Operand(tiles.sums, transposed=True)
    gates_s[...] = lax.broadcast_in_dim(on.vector(whole_s[...], COLUMNS), dq.shape, (1,))
    dq = scale * dq * tiles.decays(on, on.through())
    add((unsums, tiles.factor(wide(q_s) * dq)))
    dk = dk * tiles.decays(on, on.summing(CHUNK))
    add((unsums, tiles.factor(wide(k_s) * dk)))

    def step(level, carry):
        dq, dk = carry
        half, tiles = unit.half_of(level), _Tiles(*unit.tiles(stack, hidden=True))
        q_s, k_s = unit.tiles(both_s, hidden=True)
        decays = tiles.decays(on, on.summing(half))
        tiles.pairs[...] = jnp.where(on.parted(half), tiles.scores[...], LOW(0))
        near = decays * on.product((tiles.pairs, tiles.factor(wide(k_s) * decays)))
        tiles.exponents[...] = (wide(q_s) * near).astype(LOW)
        dq += near
        near = decays * on.product((Operand(tiles.pairs, True), tiles.factor(wide(q_s) * decays)))
        tiles.near[...] = (wide(k_s) * near).astype(LOW)
        dk += near
        plgpu.commit_smem()
        unsums = Operand(tiles.sums, transposed=True)
        gates_s[...] += on.product((unsums, tiles.exponents), (unsums, tiles.near))
        return dq, dk

    dq, dk = lax.fori_loop(0, LEVELS, step, (dq, dk))
    q_s[...], k_s[...] = dq.astype(LOW), dk.astype(LOW)
