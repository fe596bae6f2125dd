"""Gated linear attention in plain XLA: one loop over chunks does everything (section 3.3).

A chunk's arrays stay in cache from one product to the next.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.chunks import Layout
from kernels_pallas.gated_linear_attention.schemes import by_scheme
from kernels_pallas.gated_linear_attention.xla_backward import walk_back


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
    intra: str,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """o [B, T, H, V] and the final state; arguments as the head of the package says.

    S' = Diag(e^(G_C)) S + (k e^(G_C - G))^T v, o = (q e^G) S + A v, with G the sum of the gates
    from the chunk's start and A its scores.
    """
    del interpret
    layout = Layout.of(q, chunk_size, scale)
    rows, product = layout.rows(q, k, v, log_decay, segments), layout.product

    def walk(scheme):
        def step(state, chunk):
            at = layout.enter(chunk, scheme)
            scores = jnp.where(at.visible, at.scheme.scores(at.q, at.k), 0)
            out = product("nij,njv->niv", scores, at.v)
            out += product("nid,ndv->niv", at.q * at.read, state)
            state = at.carry * state + product("njd,njv->ndv", at.k * at.write, at.v)
            return state, layout.time_first(out, q.dtype)

        return layout.loop(step, initial_state.reshape(-1, *initial_state.shape[2:]), rows)

    state, out = by_scheme(walk, rows.gates, layout.chunk, intra)
    return layout.join(out), state.reshape(initial_state.shape)


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
    intra: str,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None, jax.Array]:
    """Gradients of q, k, v, log_decay in its own shape, and the initial state."""
    del interpret
    layout = Layout.of(q, chunk_size, scale)
    rows = layout.rows(q, k, v, log_decay, segments)
    d_rows = layout.whole(d_out)

    def walk(scheme):
        return walk_back(layout, scheme, rows, d_rows, initial_state, d_final)

    (d_q, d_k, d_v, d_gates), d_initial = by_scheme(walk, rows.gates, layout.chunk, intra)
    d_q, d_k, d_v = (layout.join(one) for one in (d_q, d_k, d_v))
    d_log_decay = None
    if log_decay is not None:
        d_log_decay = layout.join(d_gates)
        d_log_decay = d_log_decay if log_decay.ndim == 4 else d_log_decay[..., 0]
        if log_decay.ndim == 1:
            d_log_decay = jnp.sum(d_log_decay, axis=(0, 1))
        d_log_decay = d_log_decay.astype(log_decay.dtype)
    return d_q, d_k, d_v, d_log_decay, d_initial
