"""Gradients of the XLA form: chunks in reverse, scores and decays made again in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.chunks import Chunk, Layout, Rows
from kernels_pallas.gated_linear_attention.sums import lower, sums_of_rows


def walk_back(
    layout: Layout,
    scheme: Callable,
    rows: Rows,
    d_rows: jax.Array,
    initial_state: jax.Array,
    d_final: jax.Array,
) -> tuple[Any, jax.Array]:
    """Gradients by chunks of q, k, v and the gates (wide, None without), and of the first state.

    The states that enter the chunks come from a loop of their own, which leaves out all else.

    Args:
        layout, scheme, rows: as for the forward loop.
        d_rows: gradient of the output, in whole chunks as the rows.
        initial_state, d_final: [B, H, K, V].
    """

    def enter(state, chunk):
        at = layout.enter(chunk, scheme)
        after = at.carry * state + layout.product("njd,njv->ndv", at.k * at.write, at.v)
        return after, state

    def step(d_state, chunk, state):
        row, d_out = chunk
        at = layout.enter(row, scheme)
        gradients, d_gates, d_state = _chunk(layout, at, layout.heads_first(d_out), state, d_state)
        found = [layout.time_first(one, layout.narrow) for one in gradients]
        return d_state, (*found, None if rows.gates is None else d_gates)

    flat = (-1, *initial_state.shape[2:])
    _, states = layout.loop(enter, initial_state.reshape(flat), rows)
    d_initial, gradients = layout.loop(
        step, d_final.reshape(flat), (rows, d_rows), states, reverse=True
    )
    return gradients, d_initial.reshape(initial_state.shape)


def _chunk(
    layout: Layout, at: Chunk, d_out: jax.Array, state: jax.Array, d_state: jax.Array
) -> tuple[tuple[jax.Array, ...], jax.Array, jax.Array]:
    """Gradients of one chunk's q, k, v, of its gates [B, C, H, K], and of the state that enters.

    With dS the gradient of the state that leaves, dA_ij = dO_i . v_j, and A, dA zero above the
    diagonal: dq = e^G (dO S^T) + inner, dk = e^(G_C - G) (v dS^T) + inner, dv = A^T dO + ...
    A gate's gradient is what passes it: pairs of a query at or after it and a key before it, the
    state that enters, the state that leaves. A token's pair with itself passes no gate, nor does
    a key after it: neither is added only to be taken away again, so strong gates drown nothing.
    """
    product = layout.product
    below = at.visible & lower(layout.chunk, -1, bool)[None]
    scores = jnp.where(at.visible, at.scheme.scores(at.q, at.k), 0)
    products = product("niv,njv->nij", d_out, at.v)
    d_scores = jnp.where(below, products, 0)
    d_self = jnp.diagonal(products, axis1=1, axis2=2)[..., None]

    d_v = product("nij,niv->njv", scores, d_out)
    d_v += product("njd,ndv->njv", at.k * at.write, d_state)
    d_q, d_k = at.scheme.gradients(d_scores, at.q, at.k)
    d_q += product("niv,ndv->nid", d_out, state) * at.read
    written = product("njv,ndv->njd", at.v, d_state) * at.write

    inside, across = at.q * d_q - at.k * d_k, at.k * written
    through = at.carry[..., 0] * jnp.sum(state * d_state, axis=-1)
    if at.carry.shape[1] == 1:  # one gate for all channels
        inside, across, through = (
            jnp.sum(one, axis=-1, keepdims=True) for one in (inside, across, through)
        )
    d_gates = _passing(layout, inside, across) + layout.time_first(through[:, None], layout.wide)

    d_q = (d_q + d_self * at.k) * layout.scale
    d_k = d_k + written + d_self * at.q
    d_state = at.carry * d_state + product("nid,niv->ndv", at.q * at.read, d_out)
    return (d_q, d_k, d_v), d_gates, d_state


def _passing(layout: Layout, inside: jax.Array, across: jax.Array) -> jax.Array:
    """What passes each gate, of `inside` at or after it and of `across` before it [B, C, H, K]."""
    pieces = [layout.time_first(one, layout.wide) for one in (inside, across)]
    after, before = (lower(layout.chunk, diagonal, layout.wide) for diagonal in (0, -1))
    return sums_of_rows(jnp.concatenate([after.T, before], 1), jnp.concatenate(pieces, 1))
