"""The gated delta rule in plain XLA: one loop over chunks, which solves as it goes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.gated_delta_rule import chunks
from kernels_pallas.gated_delta_rule.xla_backward import walk_back
from kernels_pallas.gated_linear_attention.chunks import Layout
from kernels_pallas.gated_linear_attention.schemes import by_scheme


def forward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    beta: jax.Array,
    log_decay: jax.Array | None,
    initial_state: jax.Array,
    segments: jax.Array | None,
    *,
    scale: float,
    chunk_size: int,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """o [B, T, H, V] and the final state; arguments as the head of the package says.

    S' = e^(G_C) S + (k e^(G_C - G))^T u, o = (q e^G) S + P u, with u of `chunks` and P the scores
    of queries and keys.
    """
    del interpret
    layout = Layout.of(q, chunk_size, scale)
    rows, product = layout.rows(q, k, v, log_decay, segments), layout.product
    strengths = layout.whole(beta[..., None])

    def walk(scheme):
        def step(state, chunk, inverse):
            row, strength = chunk
            at = layout.enter(row, scheme)
            lacking = layout.heads_first(strength) * chunks.missing(layout, at, state)
            change = chunks.changes(layout, inverse, lacking)
            scores = jnp.where(at.visible, at.scheme.scores(at.q, at.k), 0)
            out = product("nij,njv->niv", scores, change)
            out += product("nid,ndv->niv", at.q * at.read, state)
            state = at.carry * state + product("njd,njv->ndv", at.k * at.write, change)
            return state, layout.time_first(out, q.dtype)

        first = initial_state.reshape(-1, *initial_state.shape[2:])
        inverses = chunks.inverses(layout, scheme, rows, strengths)
        return layout.loop(step, first, (rows, strengths), inverses)

    state, out = by_scheme(walk, rows.gates, layout.chunk, "auto")
    return layout.join(out), state.reshape(initial_state.shape)


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
    """Gradients of q, k, v, beta, log_decay and the initial state."""
    del interpret
    layout = Layout.of(q, chunk_size, scale)
    rows = layout.rows(q, k, v, log_decay, segments)
    strengths, d_rows = layout.whole(beta[..., None]), layout.whole(d_out)

    def walk(scheme):
        return walk_back(layout, scheme, rows, strengths, d_rows, initial_state, d_final)

    (d_q, d_k, d_v, d_beta, d_gates), d_initial = by_scheme(walk, rows.gates, layout.chunk, "auto")
    d_q, d_k, d_v = (layout.join(one) for one in (d_q, d_k, d_v))
    d_beta = layout.join(d_beta)[..., 0].astype(beta.dtype)
    d_log_decay = None
    if log_decay is not None:
        d_log_decay = layout.join(d_gates)[..., 0].astype(log_decay.dtype)
    return d_q, d_k, d_v, d_beta, d_log_decay, d_initial
