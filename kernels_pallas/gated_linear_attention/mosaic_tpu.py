"""Gated linear attention for TPU: one kernel walks the chunks of a head, its state in VMEM."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.gated_linear_attention import cost, mosaic_gates
from kernels_pallas.gated_linear_attention import mosaic_tpu_blocks as blocks
from kernels_pallas.gated_linear_attention.mosaic_tpu_backward import backward
from kernels_pallas.gated_linear_attention.mosaic_tpu_chunk import (
    NN,
    TN,
    decayed,
    dot,
    read,
    scores,
    times,
)

__all__ = ["backward", "forward", "unfit"]

MOST_KEY, MOST_VALUE, MOST_STATE = 512, 2048, 1 << 18
"""Widest K and V, and numbers of the largest state K V, whose blocks fit 16 MiB of VMEM."""


def unfit(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    segments: jax.Array | None,
    *,
    chunk_size: int,
) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    del k, log_decay, segments, chunk_size
    if q.dtype not in (jnp.float32, jnp.bfloat16):
        return f"a TPU kernel takes float32 or bfloat16, not {q.dtype}"
    width, values = q.shape[-1], v.shape[-1]
    if width > MOST_KEY or values > MOST_VALUE or width * values > MOST_STATE:
        return (
            f"a TPU kernel takes keys of at most {MOST_KEY} numbers, values of {MOST_VALUE} and"
            f" states of {MOST_STATE}; here a state has {width} x {values}"
        )
    return ""


def forward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    initial_state: jax.Array,
    segments: jax.Array | None,
    *,
    scale: float,
    chunk_size: int,
    intra: str = "auto",
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """o = scale (q e^b) S + A v, S' = diag(e^total) S + (k e^(total - b))^T v, chunk by chunk.

    The products of `mosaic_tpu_chunk` are exact for every gate, so `intra` changes nothing.

    Args:
        q, k, v, log_decay, initial_state, segments: as in `gated_linear_attention`.
        scale: multiplies q.
        chunk_size: the most tokens of a chunk.
        interpret: whether to run step by step, on any device.

    Returns:
        (o [B, T, H, V] in the dtype of q, final state [B, H, K, V] float32).
    """
    del intra
    (batch, time, heads, width), values = q.shape, v.shape[-1]
    kind = mosaic_gates.gate_kind(log_decay, segments)
    chunk = blocks.chunk_of(time, chunk_size)
    gates = mosaic_gates.full_gates(log_decay, segments, q.shape)
    q, k, v, gates = mosaic_gates.whole_chunks((q, k, v, gates), chunk)
    walk = blocks.Blocks(batch, heads, q.shape[1] // chunk, chunk)
    out, state = walk.call(
        functools.partial(_kernel, kind=kind, scale=scale),
        walk.cost(cost.forward, kind, q, v),
        in_specs=[
            walk.token_spec(width),
            walk.token_spec(width),
            walk.token_spec(values),
            walk.gate_spec(kind, width),
            walk.head_spec(width, values),
        ],
        out_specs=[walk.token_spec(values), walk.head_spec(width, values)],
        out_shape=[
            walk.token_shape(values, q.dtype),
            jax.ShapeDtypeStruct((batch, heads, width, values), jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM((width, values), jnp.float32)],
        interpret=interpret,
        name="gated_linear_attention_forward",
    )(walk.tokens(q), walk.tokens(k), walk.tokens(v), walk.gates(gates, kind), initial_state)
    return walk.of_tokens(out, values)[:, :time], state


def _kernel(
    q_ref, k_ref, v_ref, gates_ref, initial_ref, out_ref, final_ref, state_ref, *, kind, scale
):
    @pl.when(pl.program_id(2) == 0)
    def _():
        state_ref[...] = initial_ref[...]

    q, k, v = q_ref[...].astype(jnp.float32), k_ref[...].astype(jnp.float32), v_ref[...]
    state, dtype = state_ref[...], v.dtype
    gates = read(gates_ref, kind, q.shape[0])
    out = dot(times(q, gates.before).astype(dtype), state.astype(dtype), NN)
    out += dot(scores(q, k, gates, dtype).astype(dtype), v, NN)
    out_ref[...] = (scale * out).astype(out_ref.dtype)
    state_ref[...] = decayed(state, gates) + dot(times(k, gates.after).astype(dtype), v, TN)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        final_ref[...] = state_ref[...]
