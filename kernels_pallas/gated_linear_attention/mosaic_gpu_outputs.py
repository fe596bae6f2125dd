"""The forward walk on Hopper: each program keeps its states in registers from chunk to chunk."""

from __future__ import annotations

import functools
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
from kernels_pallas.gated_linear_attention.mosaic_gpu_walk import blocks

SLAB = 64
"""Columns of the values in one program: with 256 rows of state they fill half the registers."""
MEMORY = 220 << 10
"""Bytes of shared memory for chunks and states, of the 227 KiB a program may have."""


def outputs(
    queries: jax.Array,
    keys: jax.Array,
    scores: jax.Array,
    values: jax.Array,
    whole: jax.Array,
    initial: jax.Array,
    *,
    interpret: Any,
) -> tuple[jax.Array, jax.Array]:
    """queries S + A values, then S' = diag(whole) S + keys^T values, chunk after chunk.

    Only the last state goes to memory; each slab of values reads queries, keys and scores again,
    from the cache where it is large enough.

    Args:
        queries, keys: [B, T, H, K] bfloat16, decayed from the start and to the end of their chunk.
        scores: A [B H N, C, C] bfloat16.
        values: [B, T, H, V] bfloat16.
        whole: decay of each chunk [B H N, K] float32.
        initial: first state [B H, K, V] float32.

    Returns:
        (o [B, T, H, V] bfloat16, the last state [B H, K, V] float32).
    """
    batch, time, heads, width = queries.shape
    chunks, slabs = time // CHUNK, values.shape[-1] // SLAB
    stages = min(_stages(width), chunks)
    return unit.kernel(
        functools.partial(_kernel, Unit(bool(interpret)), heads, chunks, width, stages),
        out=[
            jax.ShapeDtypeStruct(values.shape, LOW),
            jax.ShapeDtypeStruct(initial.shape, jnp.float32),
        ],
        grid={"batch": batch, "head": heads, "slab": slabs},
        name="gated_linear_attention_outputs",
        interpret=interpret,
    )(queries, keys, scores, values, whole, initial)


def _stages(width: int) -> int:
    """Chunks on their way from memory: as tuned, or as many as shared memory holds."""
    chunk = 2 * CHUNK * (2 * width + CHUNK + SLAB) + 4 * width
    kept = 2 * SLAB * (width + CHUNK) + 4 * SLAB * CHUNK
    return min(blocks()["stages"], (MEMORY - kept) // chunk)


def _kernel(on, heads, chunks, width, stages, *refs):
    queries_ref, keys_ref, scores_ref, values_ref, whole_ref, initial_ref, out_ref, last_ref = refs
    b, h = lax.axis_index("batch"), lax.axis_index("head")
    head = b * heads + h
    columns = pl.ds(lax.axis_index("slab") * SLAB, SLAB)
    parts = [pl.ds(first, CHUNK) for first in range(0, width, CHUNK)]

    def scoped(queries_s, keys_s, scores_s, values_s, whole_s, state_s, out_s, wide_s, barriers,
               first):  # fmt: skip
        def fetch(step, slot):
            tokens = pl.ds(step * CHUNK, CHUNK)
            unit.load(
                (queries_ref.at[b, tokens, h], queries_s.at[slot]),
                (keys_ref.at[b, tokens, h], keys_s.at[slot]),
                (scores_ref.at[head * chunks + step], scores_s.at[slot]),
                (values_ref.at[b, tokens, h, columns], values_s.at[slot]),
                (whole_ref.at[head * chunks + step], whole_s.at[slot]),
                barrier=barriers.at[slot],
            )

        def initial(part):
            unit.load((initial_ref.at[head, part, columns], wide_s), barrier=first)
            plgpu.barrier_wait(first)
            state = wide_s[...]
            plgpu.commit_smem()
            return state

        def walk(step, states):
            slot = lax.rem(step, stages)
            for part, state in zip(parts, states, strict=True):
                state_s[part] = state.astype(LOW)
            plgpu.commit_smem()
            plgpu.barrier_wait(barriers.at[slot])
            decays = (on.vector(whole_s[slot, part], ROWS) for part in parts)
            states = [
                state * lax.broadcast_in_dim(decay, state.shape, (0,))
                for state, decay in zip(states, decays, strict=True)
            ]
            added = [
                ((Operand(keys_s.at[slot, :, part], transposed=True), values_s.at[slot]),)
                for part in parts
            ]
            read = (queries_s.at[slot], state_s), (scores_s.at[slot], values_s.at[slot])
            found, *states = on.sums((on.zeros(), *states), (read, *added))
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            out_s[...] = found.astype(LOW)
            plgpu.commit_smem()
            plgpu.copy_smem_to_gmem(out_s, out_ref.at[b, pl.ds(step * CHUNK, CHUNK), h, columns])

            @pl.when(step + stages < chunks)
            def _():
                fetch(step + stages, slot)

            return tuple(states)

        for stage in range(stages):
            fetch(stage, stage)
        states = lax.fori_loop(0, chunks, walk, tuple(initial(part) for part in parts))
        for part, state in zip(parts, states, strict=True):
            wide_s[...] = state
            unit.store((wide_s, last_ref.at[head, part, columns]))

    pl.run_scoped(
        scoped,
        unit.stack(stages, width),
        unit.stack(stages, width),
        unit.stack(stages),
        unit.stack(stages, SLAB),
        plgpu.SMEM((stages, width), jnp.float32),
        unit.tile(width, SLAB),
        unit.tile(CHUNK, SLAB),
        unit.wide_tile(CHUNK, SLAB),
        plgpu.Barrier(num_arrivals=5, num_barriers=stages),
        plgpu.Barrier(),
    )
