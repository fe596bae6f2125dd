"""Gradients of gated linear attention on Hopper: states both ways, then every chunk at once."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

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

TILE = 64
"""Columns of the values and states that are looked at together."""


def gradients(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    d_out: jax.Array,
    log_decay: jax.Array,
    whole: jax.Array,
    before: jax.Array,
    after: jax.Array,
    *,
    scale: float,
    gated: bool,
    interpret: Any,
) -> tuple[jax.Array, ...]:
    """dq, dk and, where `gated`, the gradient of the log decays, as in `mosaic_tpu_backward`.

    Args:
        q, k: [B, T, H, K] bfloat16, T a multiple of 64.
        v, d_out: [B, T, H, V] bfloat16.
        log_decay: [B, T, H, K] float32.
        whole: decay of each chunk [B H N, K] float32.
        before: state before each chunk [B H N, K, V] bfloat16.
        after: gradient of the state after each chunk, alike.

    Returns:
        bfloat16 dq and dk, float32 gradient of `log_decay`, in the shapes of theirs.
    """
    batch, time, heads, width = q.shape
    chunks, values = time // CHUNK, v.shape[-1]
    out = [jax.ShapeDtypeStruct(q.shape, LOW), jax.ShapeDtypeStruct(k.shape, LOW)]
    if gated:
        out.append(jax.ShapeDtypeStruct(log_decay.shape, jnp.float32))
    body = functools.partial(_kernel, Unit(bool(interpret)), scale, heads, chunks, values)
    return unit.kernel(
        body,
        out=out,
        grid={"batch": batch, "head": heads, "chunk": chunks, "slice": width // CHUNK},
        name="gated_linear_attention_gradients",
        interpret=interpret,
    )(q, k, v, d_out, log_decay, whole, before, after)


def _kernel(on, scale, heads, chunks, values, *refs):
    q_ref, k_ref, v_ref, d_out_ref, gates_ref, whole_ref, before_ref, after_ref, *out_refs = refs
    b, h, n = (lax.axis_index(axis) for axis in ("batch", "head", "chunk"))
    program = (b * heads + h) * chunks + n
    tokens, channels = pl.ds(n * CHUNK, CHUNK), pl.ds(lax.axis_index("slice") * CHUNK, CHUNK)
    place = (b, tokens, h, channels)

    def scoped(q_s, k_s, gates_s, whole_s, barrier):
        unit.load(
            (q_ref.at[place], q_s), (k_ref.at[place], k_s), (gates_ref.at[place], gates_s),
            (whole_ref.at[program, channels], whole_s), barrier=barrier,
        )  # fmt: skip
        sums = _over_values(
            on,
            values // TILE,
            lambda columns: (
                v_ref.at[b, tokens, h, columns],
                d_out_ref.at[b, tokens, h, columns],
                before_ref.at[program, channels, columns],
                after_ref.at[program, channels, columns],
            ),
        )
        plgpu.barrier_wait(barrier)
        pl.run_scoped(
            functools.partial(_inside, on, scale, q_s, k_s, gates_s, whole_s, sums),
            unit.stack(len(_Tiles._fields)),
        )
        unit.store(*zip((q_s, k_s, gates_s), (out.at[place] for out in out_refs), strict=False))

    pl.run_scoped(
        scoped,
        unit.tile(CHUNK, CHUNK),
        unit.tile(CHUNK, CHUNK),
        unit.wide_tile(CHUNK, CHUNK),
        plgpu.SMEM((CHUNK,), jnp.float32),
        plgpu.Barrier(num_arrivals=4),
    )


def _over_values(on, tiles, sources):
    """do v^T, do S^T, v dS^T, and rowsum(S dS), tile by tile of the values."""

    def scoped(v_s, d_out_s, before_s, after_s, barriers):
        def fetch(step, slot):
            targets = (v_s, d_out_s, before_s, after_s)
            pairs = zip(sources(pl.ds(step * TILE, TILE)), targets, strict=True)
            unit.load(
                *((source, target.at[slot]) for source, target in pairs), barrier=barriers.at[slot]
            )

        for step in range(min(2, tiles)):
            fetch(step, step)

        def add(step, sums):
            slot = lax.rem(step, 2)
            plgpu.barrier_wait(barriers.at[slot])
            v, d_out, before, after = (one.at[slot] for one in (v_s, d_out_s, before_s, after_s))
            factors = ((d_out, v), (d_out, before), (v, after))
            *sums, whole = sums
            for index, (a, b) in enumerate(factors):
                sums[index] += on.product((a, Operand(b, transposed=True)))
            whole += (before[...].astype(jnp.float32) * after[...].astype(jnp.float32)).sum(1)
            plgpu.commit_smem()

            @pl.when(step + 2 < tiles)
            def _():
                fetch(step + 2, slot)

            return (*sums, whole)

        return lax.fori_loop(0, tiles, add, (*(on.zeros(),) * 3, on.zeros(ROWS)))

    return pl.run_scoped(
        scoped, *(unit.stack(2, TILE),) * 4, plgpu.Barrier(num_arrivals=4, num_barriers=2)
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

    def times(self, on: Unit, left: Any, right: jax.Array) -> jax.Array:
        """left right, by way of `near`."""
        self.near[...] = right.astype(LOW)
        plgpu.commit_smem()
        return on.product((left, self.near))


def _inside(on, scale, q_s, k_s, gates_s, whole_s, sums, stack):
    """Leaves dq in `q_s`, dk in `k_s` and the gradient of the log decays in `gates_s`."""
    d_scores, dq, dk, whole = sums
    tiles = _Tiles(*unit.tiles(stack))
    tiles.scores[...] = (scale * d_scores).astype(LOW)
    whole_s[...] = whole * on.vector(whole_s[...], ROWS)
    unit.split(gates_s[...], tiles.high, tiles.low)

    def wide(values: jax.Ref) -> jax.Array:
        return values[...].astype(jnp.float32)

    unsums = Operand(tiles.sums, transposed=True)
    gates_s[...] = lax.broadcast_in_dim(on.vector(whole_s[...], COLUMNS), dq.shape, (1,))
    dq = scale * dq * tiles.decays(on, on.through())
    gates_s[...] += tiles.times(on, unsums, wide(q_s) * dq)
    dk = dk * tiles.decays(on, on.summing(CHUNK))
    gates_s[...] += tiles.times(on, unsums, wide(k_s) * dk)

    def step(level, carry):
        dq, dk = carry
        half, tiles = unit.half_of(level), _Tiles(*unit.tiles(stack, hidden=True))
        decays = tiles.decays(on, on.summing(half))
        tiles.pairs[...] = jnp.where(on.parted(half), tiles.scores[...], LOW(0))
        near = decays * tiles.times(on, tiles.pairs, wide(k_s) * decays)
        tiles.exponents[...] = (wide(q_s) * near).astype(LOW)
        dq += near
        near = decays * tiles.times(on, Operand(tiles.pairs, True), wide(q_s) * decays)
        tiles.near[...] = (wide(k_s) * near).astype(LOW)
        dk += near
        plgpu.commit_smem()
        unsums = Operand(tiles.sums, transposed=True)
        gates_s[...] += on.product((unsums, tiles.exponents), (unsums, tiles.near))
        return dq, dk

    dq, dk = lax.fori_loop(0, LEVELS, step, (dq, dk))
    q_s[...], k_s[...] = dq.astype(LOW), dk.astype(LOW)
