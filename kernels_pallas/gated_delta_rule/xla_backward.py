"""Gradients of the XLA form: chunks in reverse, changes and decays made again in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas.gated_delta_rule import chunks
from kernels_pallas.gated_linear_attention.chunks import Chunk, Layout, Rows
from kernels_pallas.gated_linear_attention.sums import exact_sums, lower


def walk_back(
    layout: Layout,
    scheme: Callable,
    rows: Rows,
    strengths: jax.Array,
    d_rows: jax.Array,
    initial_state: jax.Array,
    d_final: jax.Array,
) -> tuple[Any, jax.Array]:
    """Gradients by chunks of q, k, v, beta and the gates (None without), and of the first state.

    The states that enter the chunks come from a loop of their own; the inverses serve both loops.

    Args:
        layout, scheme, rows, strengths: as for the forward loop.
        d_rows: gradient of the output, in whole chunks as the rows.
        initial_state, d_final: [B, H, K, V].
    """
    inverses = chunks.inverses(layout, scheme, rows, strengths)

    def enter(state, chunk, inverse):
        row, strength = chunk
        at = layout.enter(row, scheme)
        lacking = layout.heads_first(strength) * chunks.missing(layout, at, state)
        change = chunks.changes(layout, inverse, lacking)
        after = at.carry * state + layout.product("njd,njv->ndv", at.k * at.write, change)
        return after, state

    def step(d_state, chunk, inverse, state):
        row, strength, d_out = chunk
        at, beta = layout.enter(row, scheme), layout.heads_first(strength)
        d_out = layout.heads_first(d_out)
        gradients, d_state = _chunk(layout, at, beta, inverse, d_out, state, d_state)
        dtypes = (*(layout.narrow,) * 3, layout.wide, layout.wide)
        *found, d_gates = map(layout.time_first, gradients, dtypes)
        return d_state, (*found, None if rows.gates is None else d_gates)

    flat = (-1, *initial_state.shape[2:])
    _, states = layout.loop(enter, initial_state.reshape(flat), (rows, strengths), inverses)
    d_initial, gradients = layout.loop(
        step, d_final.reshape(flat), (rows, strengths, d_rows), inverses, states, reverse=True
    )
    return gradients, d_initial.reshape(initial_state.shape)


def _chunk(
    layout: Layout,
    at: Chunk,
    beta: jax.Array,
    inverse: jax.Array,
    d_out: jax.Array,
    state: jax.Array,
    d_state: jax.Array,
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Gradients of one chunk's q, k, v, beta and gates, and of the state that enters it.

    With dS the gradient of the state that leaves, X = (I + A)^-1 and u = X b R:
    du = P^T dO + (k e^(G_C - G)) dS, z = X^T du, dR = b z, dA = -z u^T below the diagonal,
    db = z . R + rowsum(dA M). A gate's gradient is what passes it: pairs of a token at or after it
    and a key before it, what is read of the state that enters, what is written to the one that
    leaves, and the state itself.
    """
    product, length = layout.product, layout.chunk
    overlap = chunks.overlaps(at)
    lacking = chunks.missing(layout, at, state)
    change = chunks.changes(layout, inverse, beta * lacking)
    scores = jnp.where(at.visible, at.scheme.scores(at.q, at.k), 0)

    d_change = product("nij,niv->njv", scores, d_out)
    d_change += product("njd,ndv->njv", at.k * at.write, d_state)
    solved = product("nij,niv->njv", inverse, d_change)
    d_lacking = beta * solved
    d_below = jnp.where(chunks.below(at), -product("niv,njv->nij", solved, change), 0)
    d_scores = jnp.where(at.visible, product("niv,njv->nij", d_out, change), 0)
    d_beta = jnp.sum(solved * lacking, axis=-1) + jnp.sum(d_below * overlap, axis=-1)

    d_q, d_k = at.scheme.gradients(d_scores, at.q, at.k)
    for one in at.scheme.gradients(beta * d_below, at.k, at.k):
        d_k += one
    asked = product("niv,ndv->nid", d_out, state) * at.read
    found = product("niv,ndv->nid", d_lacking, state) * at.read
    written = product("njv,ndv->njd", change, d_state) * at.write

    pairs = jnp.where(chunks.below(at), scores * d_scores, 0) + beta * overlap * d_below
    later = exact_sums("it,nij->ntj", lower(length, 0, pairs.dtype), pairs)
    entering = jnp.sum(at.q * asked - at.k * found, axis=-1, keepdims=True)
    leaving = jnp.sum(at.k * written, axis=-1, keepdims=True)
    d_gates = jnp.sum(later * lower(length, -1, later.dtype)[None], axis=-1, keepdims=True)
    d_gates += exact_sums("it,nid->ntd", lower(length, 0, pairs.dtype), entering)
    d_gates += exact_sums("tj,njd->ntd", lower(length, -1, pairs.dtype), leaving)
    d_gates += jnp.sum(at.carry * state * d_state, axis=(1, 2))[:, None, None]

    d_q = (d_q + asked) * layout.scale
    d_k = d_k + written - found
    d_state = at.carry * d_state + product("nid,niv->ndv", at.q * at.read, d_out)
    d_state -= product("nid,niv->ndv", at.k * at.read, d_lacking)
    return (d_q, d_k, d_lacking, d_beta[..., None], d_gates), d_state
