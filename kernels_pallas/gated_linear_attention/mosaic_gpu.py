"""Gated linear attention for Hopper GPUs: chunks in parallel, one walk over their states."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention import mosaic_gates
from kernels_pallas.gated_linear_attention.mosaic_gpu_backward import gradients
from kernels_pallas.gated_linear_attention.mosaic_gpu_chunk import scores
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
    """Three kernels: the scores of every chunk; a walk that writes the states; every chunk's o.

    o = (scale q e^b) S + A v, S' = diag(e^total) S + (k e^(total - b))^T v (Yang et al. 2023,
    section 4, the form that materialises the states). The scores are exact for every gate, so
    `intra` changes nothing; the states between the walk and its readers are bfloat16. A gate per
    row, or none, is spread over the channels.

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
    gates = every_gate(log_decay, segments, q.shape)
    q, k, v, gates = mosaic_gates.whole_chunks((q, k, v, gates), CHUNK)
    initial = initial_state.reshape(-1, width, values)
    inside, query, key = scores(q, k, gates, scale=scale, interpret=interpret)
    before, last = states(key, v, whole_decay(gates), initial, interpret=interpret)
    out = readings(query, before, inside, v, interpret=interpret)
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
    time, width, values = q.shape[1], q.shape[-1], v.shape[-1]
    gates = every_gate(log_decay, segments, q.shape)
    q, k, v, d_out, gates = mosaic_gates.whole_chunks((q, k, v, d_out, gates), CHUNK)
    whole = whole_decay(gates)
    initial, final = (state.reshape(-1, width, values) for state in (initial_state, d_final))
    inside, query, key = scores(q, k, gates, scale=scale, interpret=interpret)
    before, _ = states(key, v, whole, initial, interpret=interpret)
    after, d_initial = states(query, d_out, whole, final, backwards=True, interpret=interpret)
    dv = readings(key, after, inside, d_out, transposed=True, interpret=interpret)
    dq, dk, *d_gates = gradients(
        q,
        k,
        v,
        d_out,
        gates,
        whole,
        before,
        after,
        scale=scale,
        gated=log_decay is not None,
        interpret=interpret,
    )
    d_log_decay = None
    if log_decay is not None:
        found = d_gates[0] if log_decay.ndim == 4 else d_gates[0].sum(-1)
        d_log_decay = mosaic_gates.as_given(found, log_decay, segments, time)
    return (dq[:, :time], dk[:, :time], dv[:, :time], d_log_decay, d_initial.reshape(d_final.shape))


def every_gate(
    log_decay: jax.Array | None, segments: jax.Array | None, shape: tuple[int, ...]
) -> jax.Array:
    """A gate for every channel [B, T, H, K] float32."""
    gates = mosaic_gates.full_gates(log_decay, segments, shape)
    if gates is None:
        return jnp.zeros(shape, jnp.float32)
    if gates.ndim == 3:
        gates = gates[..., None]
    return jnp.broadcast_to(gates.astype(jnp.float32), shape)


def whole_decay(gates: jax.Array) -> jax.Array:
    """Decay of each chunk [B H N, K]."""
    batch, time, heads, width = gates.shape
    chunks = jnp.maximum(gates, mosaic_gates.NEVER).reshape(
        batch, time // CHUNK, CHUNK, heads, width
    )
    return jnp.exp(chunks.sum(2)).swapaxes(1, 2).reshape(-1, width)
