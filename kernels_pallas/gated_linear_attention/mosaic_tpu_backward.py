"""Gradients of gated linear attention on TPU: states again, then one walk back for everything."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.costs import Cost
from kernels_pallas.gated_linear_attention import cost, mosaic_gates
from kernels_pallas.gated_linear_attention import mosaic_tpu_blocks as blocks
from kernels_pallas.gated_linear_attention.mosaic_gates import NONE
from kernels_pallas.gated_linear_attention.mosaic_tpu_chunk import (
    NN,
    NT,
    TN,
    decayed,
    dot,
    gate_gradients,
    read,
    score_gradients,
    times,
)


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
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None, jax.Array]:
    """Gradients of every input; the states before each chunk are recomputed and held meanwhile.

    With S the state before a chunk, dS the gradient of the state after it, dA = do v^T on and
    below the diagonal, and q already scaled (Yang et al. 2023, section 4 and appendix):
    dq = (do S^T) e^b + dA k, dk = (v dS^T) e^(total - b) + dA^T q,
    dv = A^T do + (k e^(total - b)) dS, and before the chunk dS' = diag(e^total) dS + (q e^b)^T do.
    A gate gets what each exponent it is part of gets: e^b from q dq, e^(total - b) from k dk,
    e^total from rowsum(S dS), the pairs of rows from their own share of q dq and k dk.

    Args:
        d_out: gradient of o [B, T, H, V].
        d_final: gradient of the final state [B, H, K, V].
        (the others): as in `mosaic_tpu.forward`.

    Returns:
        (dq, dk, dv, d_log_decay or None, d_initial), each in the shape and dtype of its input.
    """
    del intra
    batch, time, heads, _ = q.shape
    kind = mosaic_gates.gate_kind(log_decay, segments)
    chunk = blocks.chunk_of(time, chunk_size)
    gates = mosaic_gates.full_gates(log_decay, segments, q.shape)
    q, k, v, d_out, gates = mosaic_gates.whole_chunks((q, k, v, d_out, gates), chunk)
    walk = blocks.Blocks(batch, heads, q.shape[1] // chunk, chunk)
    states = _states(walk, kind, interpret, k, v, gates, initial_state)
    dq, dk, dv, d_gates, d_initial = _walk_back(
        walk._replace(backwards=True),
        kind,
        scale,
        interpret,
        q,
        k,
        v,
        d_out,
        gates,
        states,
        d_final,
    )
    d_log_decay = mosaic_gates.as_given(d_gates, log_decay, segments, time)
    return dq[:, :time], dk[:, :time], dv[:, :time], d_log_decay, d_initial


def _states(walk, kind, interpret, k, v, gates, initial_state):
    """The state before each chunk [B, H, N, K, V], in the dtype that products read it in."""
    width, values = k.shape[-1], v.shape[-1]
    return walk.call(
        functools.partial(_states_kernel, kind=kind),
        walk.cost(cost.states, kind, k, v),
        in_specs=[
            walk.token_spec(width),
            walk.token_spec(values),
            walk.gate_spec(kind, width),
            walk.head_spec(width, values),
        ],
        out_specs=walk.chunk_spec(width, values),
        out_shape=walk.chunk_shape(width, values, k.dtype),
        scratch_shapes=[pltpu.VMEM((width, values), jnp.float32)],
        interpret=interpret,
        name="gated_linear_attention_states",
    )(walk.tokens(k), walk.tokens(v), walk.gates(gates, kind), initial_state)


def _states_kernel(k_ref, v_ref, gates_ref, initial_ref, states_ref, state_ref, *, kind):
    @pl.when(pl.program_id(2) == 0)
    def _():
        state_ref[...] = initial_ref[...]

    state, k, v = state_ref[...], k_ref[...].astype(jnp.float32), v_ref[...]
    states_ref[...] = state.astype(states_ref.dtype)
    gates = read(gates_ref, kind, k.shape[0])
    state_ref[...] = decayed(state, gates) + dot(times(k, gates.after).astype(v.dtype), v, TN)


def _walk_back(walk, kind, scale, interpret, q, k, v, d_out, gates, states, d_final):
    """dq, dk, dv, the gradient of the gates of every token, and of the initial state."""
    width, values = q.shape[-1], v.shape[-1]
    both, first = (walk.cost(of, kind, q, v) for of in (cost.backward, cost.states))
    dq, dk, dv, d_gates, d_initial = walk.call(
        functools.partial(_kernel, kind=kind, scale=scale),
        Cost(*(a - b for a, b in zip(both, first, strict=True))),
        in_specs=[
            walk.token_spec(width),
            walk.token_spec(width),
            walk.token_spec(values),
            walk.token_spec(values),
            walk.gate_spec(kind, width),
            walk.chunk_spec(width, values),
            walk.head_spec(width, values),
        ],
        out_specs=[
            walk.token_spec(width),
            walk.token_spec(width),
            walk.token_spec(values),
            walk.gate_spec(kind, width),
            walk.head_spec(width, values),
        ],
        out_shape=[
            walk.token_shape(width, q.dtype),
            walk.token_shape(width, k.dtype),
            walk.token_shape(values, v.dtype),
            walk.gate_shape(kind, width),
            jax.ShapeDtypeStruct(d_final.shape, jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM((width, values), jnp.float32)],
        interpret=interpret,
        name="gated_linear_attention_backward",
    )(
        *(walk.tokens(array) for array in (q, k, v, d_out)),
        walk.gates(gates, kind),
        states,
        d_final,
    )
    return (
        walk.of_tokens(dq, width),
        walk.of_tokens(dk, width),
        walk.of_tokens(dv, values),
        walk.of_gates(d_gates, kind, width),
        d_initial,
    )


def _kernel(
    q_ref, k_ref, v_ref, d_out_ref, gates_ref, states_ref, d_final_ref,
    dq_ref, dk_ref, dv_ref, d_gates_ref, d_initial_ref, d_state_ref, *, kind, scale,
):  # fmt: skip
    @pl.when(pl.program_id(2) == 0)
    def _():
        d_state_ref[...] = d_final_ref[...]

    q, k = scale * q_ref[...].astype(jnp.float32), k_ref[...].astype(jnp.float32)
    v, d_out, state, d_state = v_ref[...], d_out_ref[...], states_ref[...], d_state_ref[...]
    dtype = v.dtype
    gates = read(gates_ref, kind, q.shape[0])

    dq_before = times(dot(d_out, state, NT), gates.before)
    dk_after = times(dot(v, d_state.astype(dtype), NT), gates.after)
    inside = score_gradients(q, k, dot(d_out, v, NT), gates, dtype)
    dv = dot(inside.scores.astype(dtype), d_out, TN)
    dv += dot(times(k, gates.after).astype(dtype), d_state.astype(dtype), NN)
    dq_ref[...] = (scale * (dq_before + inside.q)).astype(dq_ref.dtype)
    dk_ref[...] = (dk_after + inside.k).astype(dk_ref.dtype)
    dv_ref[...] = dv.astype(dv_ref.dtype)
    kept = decayed(d_state, gates)
    if kind != NONE:
        whole = jnp.sum(state.astype(jnp.float32) * kept, axis=1, keepdims=True).T
        d_gates_ref[...] = gate_gradients(
            q * dq_before, k * dk_after, whole, inside.exponents, kind
        )
    d_state_ref[...] = kept + dot(times(q, gates.before).astype(dtype), d_out, TN)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        d_initial_ref[...] = d_state_ref[...]
