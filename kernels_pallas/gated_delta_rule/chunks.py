"""One chunk of the delta rule, as the loops of the XLA form see it.

Inside a chunk, the changes u_i that tokens write into the state solve a triangular system:

    u_i = b_i (v_i - e^(G_i) S^T k_i - sum_{j<i} (k_i . k_j) e^(G_i - G_j) u_j)

with S the state that enters and G the sum of the gates from the chunk's start: (I + A) u = b R,
A = b M below the diagonal (the WY form, Yang et al. 2024a, section 3.2). Its inverse depends on
keys, gates and strengths alone, and is made for all chunks at once before any loop.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from kernels_pallas.gated_delta_rule.inverse import unit_lower_inverse
from kernels_pallas.gated_linear_attention.chunks import Chunk, Layout, Rows
from kernels_pallas.gated_linear_attention.sums import lower


def overlaps(at: Chunk) -> jax.Array:
    """M_ij = (k_i . k_j) e^(G_i - G_j) for j < i, else zero [n, C, C]."""
    return jnp.where(below(at), at.scheme.scores(at.k, at.k), 0)


def below(at: Chunk) -> jax.Array:
    """Which earlier token a token sees [1 or n, C, C]."""
    return at.visible & lower(at.k.shape[1], -1, bool)[None]


def inverses(layout: Layout, scheme: Callable, rows: Rows, strengths: jax.Array) -> jax.Array:
    """(I + A)^-1 of every chunk [N, n, C, C].

    Args:
        layout, scheme, rows: as for the loops.
        strengths: b in whole chunks [B, N C, H, 1].
    """
    chunk = layout.chunk
    together, beta = jax.tree.map(
        lambda one: one.reshape(-1, chunk, *one.shape[2:]), (rows, strengths)
    )
    beta = layout.heads_first(beta)
    found = unit_lower_inverse(beta * overlaps(layout.enter(together, scheme)))
    apart = found.reshape(strengths.shape[0], -1, layout.heads, chunk, chunk)
    return jnp.moveaxis(apart, 0, 1).reshape(apart.shape[1], -1, chunk, chunk)


def missing(layout: Layout, at: Chunk, state: jax.Array) -> jax.Array:
    """R = v - (k e^G) S: what the entering state lacks of each value [n, C, V]."""
    return at.v - layout.product("nid,ndv->niv", at.k * at.read, state)


def changes(layout: Layout, inverse: jax.Array, lacking: jax.Array) -> jax.Array:
    """u = (I + A)^-1 b R [n, C, V].

    Args:
        layout: for its product.
        inverse: of one chunk [n, C, C].
        lacking: b R.
    """
    return layout.product("nij,njv->niv", inverse, lacking)
