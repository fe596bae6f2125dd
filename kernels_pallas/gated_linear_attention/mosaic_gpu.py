"""Gated linear attention for Hopper GPUs: chunks in parallel, and walks over their states."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention import (
    mosaic_gates,
    mosaic_gpu_channels,
    mosaic_gpu_rows,
)
from kernels_pallas.gated_linear_attention.mosaic_gpu_outputs import outputs
from kernels_pallas.gated_linear_attention.mosaic_gpu_unit import CHUNK
from kernels_pallas.gated_linear_attention.mosaic_gpu_walk import readings, states

__all__ = ["backward", "forward", "unfit"]

MOST_WIDTH = 256


def unfit(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    segments: jax.Array | None,
    *,
    chunk_size: int,
) -> str:
    """Why the kernels cannot take these inputs; empty where they can."""
    del k, log_decay, segments
    width, values = q.shape[-1], v.shape[-1]
    if q.dtype != jnp.bfloat16:
        return f"the tensor cores of a GPU kernel take bfloat16, not {q.dtype}"
    if width % CHUNK or values % CHUNK or width > MOST_WIDTH:
        return (
            f"a GPU kernel takes widths that are multiples of {CHUNK}, keys at most {MOST_WIDTH};"
            f" here keys have {width} and values {values}"
        )
    if chunk_size < CHUNK:
        return f"a GPU kernel has chunks of {CHUNK} tokens, more than the {chunk_size} asked for"
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
    interpret: Any = False,
) -> tuple[jax.Array, jax.Array]:
    """Two kernels: the scores of every chunk, then a walk over the chunks that writes o.

    o = (scale q e^b) S + A v, S' = diag(e^total) S + (k e^(total - b))^T v (Yang et al. 2023,
    section 4, the form that keeps the states on the chip). The scores are exact for every gate, so
    `intra` changes nothing; S is float32, and bfloat16 where q reads it. A gate of one number per
    row, or none, takes `mosaic_gpu_rows`.

    Args:
        q, k, v: bfloat16, as in `gated_linear_attention`.
        log_decay, initial_state, segments: alike.
        scale: multiplies q.
        chunk_size: at least 64; chunks have 64 tokens.
        interpret: True for the interpreter, or its parameters.

    Returns:
        (o [B, T, H, V] bfloat16, final state [B, H, K, V] float32).
    """
    del chunk_size, intra
    time, width, values = q.shape[1], q.shape[-1], v.shape[-1]
    q, k, v, gates, whole, inside = _prepared(log_decay, segments, q, k, v)
    initial = initial_state.reshape(-1, width, values)
    scores, query, key = inside.scores(q, k, gates, scale=scale, interpret=interpret)
    out, last = outputs(query, key, scores, v, whole, initial, interpret=interpret)
    return out[:, :time], last.reshape(initial_state.shape)


def backward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    initial_state: jax.Array,
    segments: jax.Array | None,
    d_out: jax.Array,
    d_final: jax.Array,
    *,
    scale: float,
    chunk_size: int,
    intra: str = "auto",
    interpret: Any = False,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None, jax.Array]:
    """Five kernels: scores and states again, the states' gradients, then dv, dq, dk and the gates.

    The formulas are those of `mosaic_tpu_backward.backward`, its arguments and results too.
    """
    del chunk_size, intra
    (batch, time, heads, width), values = q.shape, v.shape[-1]
    q, k, v, gates, whole, inside = _prepared(log_decay, segments, q, k, v)
    (d_out,) = mosaic_gates.whole_chunks((d_out,), CHUNK)
    initial, final = (state.reshape(-1, width, values) for state in (initial_state, d_final))
    scores, query, key = inside.scores(q, k, gates, scale=scale, interpret=interpret)
    before, _ = states(key, v, whole, initial, interpret=interpret)
    after, d_initial = states(query, d_out, whole, final, backwards=True, interpret=interpret)
    dv = readings(key, after, scores, d_out, transposed=True, interpret=interpret)
    dq, dk, d_gates = inside.gradients(
        q, k, v, d_out, gates, whole, before, after, scale=scale, interpret=interpret
    )
    if inside is mosaic_gpu_rows:
        d_gates = d_gates.reshape(batch, heads, -1).swapaxes(1, 2)
    d_log_decay = mosaic_gates.as_given(d_gates, log_decay, segments, time)
    return dq[:, :time], dk[:, :time], dv[:, :time], d_log_decay, d_initial.reshape(d_final.shape)


def _prepared(
    log_decay: jax.Array | None,
    segments: jax.Array | None,
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array, ModuleType]:
    """q, k, v in whole chunks, gates, the decay of each chunk [B H N, K], and who takes them.

    Gates are [B, T, H, K] float32, or [B H N, C] where a row has one.
    """
    batch, width = q.shape[0], q.shape[-1]
    gates = mosaic_gates.full_gates(log_decay, segments, q.shape)
    gates = jnp.zeros(q.shape[:3], jnp.float32) if gates is None else gates.astype(jnp.float32)
    q, k, v, gates = mosaic_gates.whole_chunks((q, k, v, gates), CHUNK)
    chunks = jnp.maximum(gates, mosaic_gates.NEVER)
    chunks = chunks.reshape(batch, -1, CHUNK, *gates.shape[2:])
    whole = jnp.exp(chunks.sum(2)).swapaxes(1, 2)  # [B, H, N] or [B, H, N, K]
    if gates.ndim == 4:
        return q, k, v, gates, whole.reshape(-1, width), mosaic_gpu_channels
    rows = gates.swapaxes(1, 2).reshape(-1, CHUNK)
    whole = jnp.broadcast_to(whole.reshape(-1, 1), (rows.shape[0], width))
    return q, k, v, rows, whole, mosaic_gpu_rows
