"""Gradients of the XLA form: chunks in reverse, scores and decays made again in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.chunks import Chunk, Layout, Rows
from kernels_pallas.gated_linear_attention.sums import exact_sums, lower


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
        d_rows: gradient of the output by chunks.
        initial_state, d_final: [B, H, K, V].
    """

    def enter(state, given):
        at = layout.enter(given, scheme)
        after = at.carry * state + layout.product("njd,njv->ndv", at.k * at.write, at.v)
        return after, state

    def step(d_state, given):
        row, d_out, state = given
        at = layout.enter(row, scheme)
        gradients, d_state = _chunk(layout, at, layout.heads_first(d_out), state, d_state)
        dtypes = (*(layout.narrow,) * 3, layout.wide)
        *found, d_gates = map(layout.time_first, gradients, dtypes)
        return d_state, (*found, None if rows.gates is None else d_gates)

    flat = (-1, *initial_state.shape[2:])
    _, states = jax.lax.scan(enter, initial_state.reshape(flat), rows)
    d_initial, gradients = jax.lax.scan(
        step, d_final.reshape(flat), (rows, d_rows, states), reverse=True
    )
    return gradients, d_initial.reshape(initial_state.shape)


def _chunk(
    layout: Layout, at: Chunk, d_out: jax.Array, state: jax.Array, d_state: jax.Array
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Gradients of one chunk's q, k, v and gates, and of the state that enters it.

    With dS the gradient of the state that leaves, dA_ij = dO_i . v_j, and A, dA zero above the
    diagonal: dq = e^G (dO S^T) + inner, dk = e^(G_C - G) (v dS^T) + inner, dv = A^T dO + ...
    A gate's gradient is what passes it: pairs of a query at or after it and a key before it, the
    state that enters, the state that leaves. A token's pair with itself passes no gate, nor does
    a key after it: neither is added only to be taken away again, so strong gates drown nothing.
    """
    product, length = layout.product, layout.chunk
    below = at.visible & lower(length, -1, bool)[None]
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
    d_gates = exact_sums("it,nid->ntd", lower(length, 0, inside.dtype), inside)
    d_gates += exact_sums("tj,njd->ntd", lower(length, -1, across.dtype), across)
    d_gates += through[:, None]

    d_q = (d_q + d_self * at.k) * layout.scale
    d_k = d_k + written + d_self * at.q
    d_state = at.carry * d_state + product("nid,niv->ndv", at.q * at.read, d_out)
    return (d_q, d_k, d_v, d_gates), d_state
