"""Between chunks on Hopper: the walk of the states, and what each chunk reads from its state."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas import dispatch, tuning
from kernels_pallas.gated_linear_attention import mosaic_gpu_unit as unit
from kernels_pallas.gated_linear_attention.mosaic_gpu_unit import (
    CHUNK,
    LOW,
    ROWS,
    Operand,
    Unit,
)


def blocks() -> dict[str, int]:
    """`stages`: chunks on their way from memory at any time; `slab`: columns of a value tile."""
    return tuning.blocks("gated_linear_attention", "mosaic_gpu", dispatch.current_target().kind)


def states(
    keys: jax.Array,
    values: jax.Array,
    whole: jax.Array,
    initial: jax.Array,
    *,
    backwards: bool = False,
    interpret: Any,
) -> tuple[jax.Array, jax.Array]:
    """S' = diag(whole) S + keys^T values over the chunks; S before each, and the last.

    Args:
        keys: [B, T, H, K] bfloat16, decayed to the end of their chunk.
        values: [B, T, H, V] bfloat16.
        whole: decay of each chunk [B H N, K] float32.
        initial: first state [B H, K, V] float32.
        backwards: whether the last chunk comes first.

    Returns:
        (S before each chunk is added [B H N, K, V] bfloat16, the last [B H, K, V] float32).
    """
    batch, time, heads, width = keys.shape
    values_width, chunks = values.shape[-1], time // CHUNK
    slab = slab_of(values_width)
    stages, on = min(blocks()["stages"], chunks), Unit(bool(interpret))
    return unit.kernel(
        functools.partial(_states_kernel, on, heads, chunks, slab, stages, backwards),
        out=[
            jax.ShapeDtypeStruct((batch * heads * chunks, width, values_width), LOW),
            jax.ShapeDtypeStruct(initial.shape, jnp.float32),
        ],
        grid={"batch": batch, "head": heads, "rows": width // CHUNK, "slab": values_width // slab},
        name="gated_linear_attention_states",
        interpret=interpret,
    )(keys, values, whole, initial)


def slab_of(width: int) -> int:
    """Columns of a value tile: what is tuned, or 64 where that does not divide the width."""
    most = blocks()["slab"]
    return most if width % most == 0 else CHUNK


def _states_kernel(on, heads, chunks, slab, stages, backwards, *refs):
    keys_ref, values_ref, whole_ref, initial_ref, states_ref, last_ref = refs
    b, h = lax.axis_index("batch"), lax.axis_index("head")
    head = b * heads + h
    rows = pl.ds(lax.axis_index("rows") * CHUNK, CHUNK)
    columns = pl.ds(lax.axis_index("slab") * slab, slab)

    def place(step):
        return chunks - 1 - step if backwards else step

    def scoped(keys_s, values_s, whole_s, state_s, wide_s, barriers, first):
        def fetch(step, slot):
            tokens = pl.ds(place(step) * CHUNK, CHUNK)
            unit.load(
                (keys_ref.at[b, tokens, h, rows], keys_s.at[slot]),
                (values_ref.at[b, tokens, h, columns], values_s.at[slot]),
                (whole_ref.at[head * chunks + place(step), rows], whole_s.at[slot]),
                barrier=barriers.at[slot],
            )

        for stage in range(stages):
            fetch(stage, stage)
        unit.load((initial_ref.at[head, rows, columns], wide_s), barrier=first)
        plgpu.barrier_wait(first)

        def walk(step, state):
            slot = lax.rem(step, stages)
            plgpu.barrier_wait(barriers.at[slot])
            state_s[...] = state.astype(LOW)
            plgpu.commit_smem()
            target = states_ref.at[head * chunks + place(step), rows, columns]
            plgpu.copy_smem_to_gmem(state_s, target)
            decay = on.vector(whole_s[slot], ROWS)
            state = state * lax.broadcast_in_dim(decay, state.shape, (0,))
            state += on.product((Operand(keys_s.at[slot], transposed=True), values_s.at[slot]))
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            plgpu.commit_smem()

            @pl.when(step + stages < chunks)
            def _():
                fetch(step + stages, slot)

            return state

        state = lax.fori_loop(0, chunks, walk, wide_s[...])
        wide_s[...] = state
        unit.store((wide_s, last_ref.at[head, rows, columns]))

    pl.run_scoped(
        scoped,
        unit.stack(stages),
        unit.stack(stages, slab),
        plgpu.SMEM((stages, CHUNK), jnp.float32),
        unit.tile(CHUNK, slab),
        unit.wide_tile(CHUNK, slab),
        plgpu.Barrier(num_arrivals=3, num_barriers=stages),
        plgpu.Barrier(),
    )


def readings(
    queries: jax.Array,
    states_before: jax.Array,
    scores: jax.Array,
    values: jax.Array,
    *,
    transposed: bool = False,
    interpret: Any,
) -> jax.Array:
    """queries S + A values for every chunk at once [B, T, H, V] bfloat16.

    Args:
        queries: [B, T, H, K] bfloat16.
        states_before: [B H N, K, V] bfloat16.
        scores: A [B H N, C, C] bfloat16.
        values: [B, T, H, V] bfloat16.
        transposed: whether A^T stands for A.
    """
    batch, time, heads, width = queries.shape
    values_width, chunks = values.shape[-1], time // CHUNK
    slab, on = slab_of(values_width), Unit(bool(interpret))
    (found,) = unit.kernel(
        functools.partial(_readings_kernel, on, heads, chunks, width, slab, transposed),
        out=[jax.ShapeDtypeStruct(values.shape, LOW)],
        grid={"batch": batch, "head": heads, "chunk": chunks, "slab": values_width // slab},
        name="gated_linear_attention_readings",
        interpret=interpret,
    )(queries, states_before, scores, values)
    return found


def _readings_kernel(on, heads, chunks, width, slab, transposed, *refs):
    queries_ref, states_ref, scores_ref, values_ref, out_ref = refs
    b, h, n = (lax.axis_index(axis) for axis in ("batch", "head", "chunk"))
    columns = pl.ds(lax.axis_index("slab") * slab, slab)
    tokens = pl.ds(n * CHUNK, CHUNK)
    program = (b * heads + h) * chunks + n

    def scoped(queries_s, state_s, scores_s, values_s, out_s, barrier):
        unit.load(
            (queries_ref.at[b, tokens, h], queries_s),
            (states_ref.at[program, :, columns], state_s),
            (scores_ref.at[program], scores_s),
            (values_ref.at[b, tokens, h, columns], values_s),
            barrier=barrier,
        )
        plgpu.barrier_wait(barrier)
        found = on.product((queries_s, state_s), (Operand(scores_s, transposed), values_s))
        out_s[...] = found.astype(LOW)
        unit.store((out_s, out_ref.at[b, tokens, h, columns]))

    pl.run_scoped(
        scoped,
        unit.tile(CHUNK, width),
        unit.tile(width, slab),
        unit.tile(CHUNK, CHUNK),
        unit.tile(CHUNK, slab),
        unit.tile(CHUNK, slab),
        plgpu.Barrier(num_arrivals=4),
    )
