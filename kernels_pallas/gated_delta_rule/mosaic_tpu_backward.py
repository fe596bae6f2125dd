"""Gradients of the delta rule on TPU: states and inverses again, then one walk back."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.costs import Cost
from kernels_pallas.gated_delta_rule import cost
from kernels_pallas.gated_delta_rule.inputs import OP_NAME
from kernels_pallas.gated_delta_rule.mosaic_tpu_chunk import Chunk
from kernels_pallas.gated_linear_attention import mosaic_gates
from kernels_pallas.gated_linear_attention import mosaic_tpu_blocks as blocks
from kernels_pallas.gated_linear_attention.mosaic_gates import NONE
from kernels_pallas.gated_linear_attention.mosaic_tpu_chunk import (
    NN,
    NT,
    TN,
    decayed,
    gate_gradients,
    times,
)


def backward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    beta: jax.Array,
    log_decay: jax.Array | None,
    initial_state: jax.Array,
    segments: jax.Array | None,
    d_out: jax.Array,
    d_final: jax.Array,
    *,
    scale: float,
    chunk_size: int,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array | None, jax.Array]:
    """Gradients of every input; states and inverses of the chunks are recomputed and held.

    With S the state before a chunk, dS the gradient of the state after it, X the inverse, u the
    changes, R what is missing, and q already scaled: du = P^T do + (k e^(G_C - G)) dS,
    z = X^T du, dR = b z, dA = -z u^T below the diagonal, db = z . R + rowsum(dA M);
    dq = (do S^T) e^G + dP k, dk = (u dS^T) e^(G_C - G) - (dR S^T) e^G + what dP and dA give,
    dv = dR, and before the chunk dS' = e^(G_C) dS + (q e^G)^T do - (k e^G)^T dR.

    Args:
        d_out: gradient of o [B, T, H, V].
        d_final: gradient of the final state [B, H, K, V].
        (the others): as in `mosaic_tpu.forward`.

    Returns:
        (dq, dk, dv, d_beta, d_log_decay or None, d_initial), each as its input.
    """
    time, strengths = q.shape[1], beta.dtype
    kind = mosaic_gates.gate_kind(log_decay, segments)
    chunk = blocks.chunk_of(time, chunk_size, OP_NAME)
    gates = mosaic_gates.full_gates(log_decay, segments, q.shape)
    q, k, v, d_out, beta, gates = mosaic_gates.whole_chunks((q, k, v, d_out, beta, gates), chunk)
    walk = blocks.Blocks(q.shape[0], q.shape[2], q.shape[1] // chunk, chunk)
    options: dict[str, Any] = {"gated": gates is not None, "chunk": chunk, "form": "mosaic_tpu"}
    first, both = (
        of(q.shape, v.shape[-1], size=q.dtype.itemsize, **options)
        for of in (cost.states, cost.backward)
    )
    given = (k, v, beta, gates)
    entering = _states(walk, kind, interpret, first, *given, initial_state)
    dq, dk, dv, d_beta, d_gates, d_initial = _walk_back(
        walk._replace(backwards=True),
        kind,
        scale,
        interpret,
        Cost(*(a - b for a, b in zip(both, first, strict=True))),
        (q, *given, d_out, *entering, d_final),
    )
    d_log_decay = mosaic_gates.as_given(d_gates, log_decay, segments, time)
    d_beta = d_beta[:, :time].astype(strengths)
    return dq[:, :time], dk[:, :time], dv[:, :time], d_beta, d_log_decay, d_initial


def _states(walk, kind, interpret, of_call, k, v, beta, gates, initial_state):
    """The state before each chunk [B, H, N, K, V] and its inverse [B, H, N, C, C].

    Both in the dtype that products read them in.
    """
    width, values = k.shape[-1], v.shape[-1]
    return walk.call(
        functools.partial(_states_kernel, kind=kind),
        of_call,
        in_specs=[
            walk.token_spec(width),
            walk.token_spec(values),
            walk.chunk_spec(1, walk.chunk),
            walk.gate_spec(kind, width),
            walk.head_spec(width, values),
        ],
        out_specs=[walk.chunk_spec(width, values), walk.chunk_spec(walk.chunk, walk.chunk)],
        out_shape=[
            walk.chunk_shape(width, values, k.dtype),
            walk.chunk_shape(walk.chunk, walk.chunk, jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM((width, values), jnp.float32)],
        interpret=interpret,
        name="gated_delta_rule_states",
    )(walk.tokens(k), walk.tokens(v), walk.rows(beta), walk.gates(gates, kind), initial_state)


def _states_kernel(
    k_ref, v_ref, beta_ref, gates_ref, initial_ref, states_ref, inverses_ref, state_ref, *, kind
):
    @pl.when(pl.program_id(2) == 0)
    def _():
        state_ref[...] = initial_ref[...]

    state = state_ref[...]
    at = Chunk.of(k_ref, v_ref, beta_ref, gates_ref, kind)
    inverse = at.inverse(at.overlaps())
    states_ref[...] = state.astype(states_ref.dtype)
    inverses_ref[...] = inverse
    change = at.solve(inverse, at.beta * at.missing(state), NN)
    state_ref[...] = decayed(state, at.gates) + at.product(times(at.k, at.gates.after), change, TN)


def _walk_back(walk, kind, scale, interpret, of_call, arrays: tuple[Any, ...]):
    """dq, dk, dv, the gradients of strengths and gates of every token, and of the first state."""
    q, k, v, beta, gates, d_out, states, inverses, d_final = arrays
    width, values, chunk = q.shape[-1], v.shape[-1], walk.chunk
    keys, rows = walk.token_spec(width), walk.chunk_spec(1, chunk)
    dq, dk, dv, d_beta, d_gates, d_initial = walk.call(
        functools.partial(_kernel, kind=kind, scale=scale),
        of_call,
        in_specs=[
            keys,
            keys,
            walk.token_spec(values),
            rows,
            walk.gate_spec(kind, width),
            walk.token_spec(values),
            walk.chunk_spec(width, values),
            walk.chunk_spec(chunk, chunk),
            walk.head_spec(width, values),
        ],
        out_specs=[
            keys,
            keys,
            walk.token_spec(values),
            rows,
            walk.gate_spec(kind, width),
            walk.head_spec(width, values),
        ],
        out_shape=[
            walk.token_shape(width, q.dtype),
            walk.token_shape(width, k.dtype),
            walk.token_shape(values, v.dtype),
            walk.chunk_shape(1, chunk, jnp.float32),
            walk.gate_shape(kind, width),
            jax.ShapeDtypeStruct(d_final.shape, jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM((width, values), jnp.float32)],
        interpret=interpret,
        name="gated_delta_rule_backward",
    )(
        *(walk.tokens(array) for array in (q, k, v)),
        walk.rows(beta),
        walk.gates(gates, kind),
        walk.tokens(d_out),
        states,
        inverses,
        d_final,
    )
    return (
        walk.of_tokens(dq, width),
        walk.of_tokens(dk, width),
        walk.of_tokens(dv, values),
        d_beta.reshape(*d_beta.shape[:2], -1).swapaxes(1, 2),
        walk.of_gates(d_gates, kind, width),
        d_initial,
    )


def _kernel(
    q_ref, k_ref, v_ref, beta_ref, gates_ref, d_out_ref, states_ref, inverses_ref, d_final_ref,
    dq_ref, dk_ref, dv_ref, d_beta_ref, d_gates_ref, d_initial_ref, d_state_ref, *, kind, scale,
):  # fmt: skip
    @pl.when(pl.program_id(2) == 0)
    def _():
        d_state_ref[...] = d_final_ref[...]

    q = scale * q_ref[...].astype(jnp.float32)
    d_out, state, inverse, d_state = (
        ref[...] for ref in (d_out_ref, states_ref, inverses_ref, d_state_ref)
    )
    at = Chunk.of(k_ref, v_ref, beta_ref, gates_ref, kind)
    k, product, before, after = at.k, at.product, at.gates.before, at.gates.after
    overlap, missing = at.overlaps(), at.missing(state)
    change = at.solve(inverse, at.beta * missing, NN)
    scores = at.scores(q)

    d_change = product(scores, d_out, TN) + product(times(k, after), d_state, NN)
    solved = at.solve(inverse, d_change, TN)
    d_missing = at.beta * solved
    d_below = -product(solved, change, NT)
    d_scores = product(d_out, change, NT)
    d_near, d_far = at.pairs * d_scores, at.below * at.beta * d_below
    asked = times(product(d_out, state, NT), before)
    found = times(product(d_missing, state, NT), before)
    written = times(product(change, d_state, NT), after)
    dk = product(d_near, q, TN) + product(d_far, k, NN) + product(d_far, k, TN)

    dq_ref[...] = (scale * (asked + product(d_near, k, NN))).astype(dq_ref.dtype)
    dk_ref[...] = (written - found + dk).astype(dk_ref.dtype)
    dv_ref[...] = d_missing.astype(dv_ref.dtype)
    d_beta = jnp.sum(solved * missing, axis=1, keepdims=True)
    d_beta += jnp.sum(d_below * overlap, axis=1, keepdims=True)
    d_beta_ref[...] = _as_row(d_beta, overlap.shape)
    kept = decayed(d_state, at.gates)
    if kind != NONE:
        whole = jnp.sum(state.astype(jnp.float32) * kept, axis=1, keepdims=True).T
        pairs = scores * d_scores + at.beta * overlap * d_below
        d_gates_ref[...] = gate_gradients(q * asked - k * found, k * written, whole, [pairs], kind)
    gained = product(times(q, before), d_out, TN) - product(times(k, before), d_missing, TN)
    d_state_ref[...] = kept + gained

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        d_initial_ref[...] = d_state_ref[...]


def _as_row(column: jax.Array, square: tuple[int, ...]) -> jax.Array:
    """[C, 1] as [1, C]."""
    row, other = (jax.lax.broadcasted_iota(jnp.int32, square, axis) for axis in (0, 1))
    return jnp.sum(jnp.where(row == other, column, 0.0), axis=0, keepdims=True)
