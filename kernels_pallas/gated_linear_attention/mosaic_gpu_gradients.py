"""The kernel of the gradients inside every chunk on Hopper, but for what depends on the gates.

One program has 64 channels of one chunk. It first takes the products that run over the values,
then calls `inside`, which leaves the gradients where the inputs were.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.gated_linear_attention import mosaic_gpu_unit as unit
from kernels_pallas.gated_linear_attention.mosaic_gpu_unit import (
    CHUNK,
    LOW,
    ROWS,
    Operand,
    Unit,
)

TILE = 64
"""Columns of the values and states that are looked at together."""


def gradients(
    inside: Callable[..., None],
    scratch: Sequence[Any],
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    d_out: jax.Array,
    gates: jax.Array,
    whole: jax.Array,
    before: jax.Array,
    after: jax.Array,
    *,
    scale: float,
    interpret: Any,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """dq, dk and the gradient of the log decays, by the formulas of `mosaic_tpu_backward`.

    Args:
        inside: called with the `Unit`, the scale, a stack of q and k, the gates and the chunk's
            decay, what `_over_values` returns, and references to `scratch`.
        scratch: shared memory that `inside` works in.
        q, k: [B, T, H, K] bfloat16, T a multiple of 64.
        v, d_out: [B, T, H, V] bfloat16.
        gates: log decays [B, T, H, K] float32, or [B H N, C] where a row has one.
        whole: decay of each chunk [B H N, K] float32.
        before: state before each chunk [B H N, K, V] bfloat16.
        after: gradient of the state after each chunk, alike.

    Returns:
        bfloat16 dq and dk in the shape of q; of the gates, float32, [B, T, H, K], or
        [B H N, K / 64, C], to be summed over the second axis.
    """
    batch, time, heads, width = q.shape
    chunks, slices = time // CHUNK, width // CHUNK
    by_row = gates.ndim == 2
    d_gates = (gates.shape[0], slices, CHUNK) if by_row else gates.shape
    body = functools.partial(_kernel, Unit(bool(interpret)), inside, scratch, by_row, scale)
    return unit.kernel(
        functools.partial(body, heads, chunks, v.shape[-1]),
        out=[
            jax.ShapeDtypeStruct(q.shape, LOW),
            jax.ShapeDtypeStruct(k.shape, LOW),
            jax.ShapeDtypeStruct(d_gates, jnp.float32),
        ],
        grid={"batch": batch, "head": heads, "chunk": chunks, "slice": slices},
        name=f"gated_linear_attention_gradients_{'rows' if by_row else 'channels'}",
        interpret=interpret,
    )(q, k, v, d_out, gates, whole, before, after)


def _kernel(on, inside, scratch, by_row, scale, heads, chunks, values, *refs):
    q_ref, k_ref, v_ref, d_out_ref, gates_ref, whole_ref, before_ref, after_ref, *out_refs = refs
    b, h, n = (lax.axis_index(axis) for axis in ("batch", "head", "chunk"))
    program, part = (b * heads + h) * chunks + n, lax.axis_index("slice")
    tokens, channels = pl.ds(n * CHUNK, CHUNK), pl.ds(part * CHUNK, CHUNK)
    place = (b, tokens, h, channels)
    gates_from, gates_to = (program, (program, part)) if by_row else (place, place)

    def sources(columns):
        return (
            v_ref.at[b, tokens, h, columns],
            d_out_ref.at[b, tokens, h, columns],
            before_ref.at[program, channels, columns],
            after_ref.at[program, channels, columns],
        )

    def scoped(both_s, gates_s, whole_s, barrier):
        q_s, k_s = unit.tiles(both_s)
        unit.load(
            (q_ref.at[place], q_s), (k_ref.at[place], k_s), (gates_ref.at[gates_from], gates_s),
            (whole_ref.at[program, channels], whole_s), barrier=barrier,
        )  # fmt: skip
        sums = _over_values(on, values // TILE, sources)
        plgpu.barrier_wait(barrier)
        pl.run_scoped(
            functools.partial(inside, on, scale, both_s, gates_s, whole_s, sums), *scratch
        )
        dq_ref, dk_ref, d_gates_ref = out_refs
        unit.store(
            (q_s, dq_ref.at[place]), (k_s, dk_ref.at[place]), (gates_s, d_gates_ref.at[gates_to])
        )

    vector = plgpu.SMEM((CHUNK,), jnp.float32)
    pl.run_scoped(
        scoped,
        unit.stack(2),
        vector if by_row else unit.wide_tile(CHUNK, CHUNK),
        vector,
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
            products = [((a, Operand(b, transposed=True)),) for a, b in factors]
            sums = on.sums(sums, products)
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
