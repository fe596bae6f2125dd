"""Decays and scores inside one chunk, for each kind of gate: the schemes of the XLA form.

A scheme is made from the log gates g of a chunk, with G their running sum, and gives

    read = e^G, write = e^(G_C - G), carry = e^(G_C)       what meets the state
    scores(q, k)_ij = sum_d q_id k_jd e^(G_id - G_jd)      for j <= i; other entries mean nothing
    gradients(dA, q, k)                                    of q and k; dA is zero for j > i

Arrays lead with n = batch times heads: q, k [n, C, K], scores [n, C, C]. Gates come as they lie in
blocks, [B, N, C, H, K] or, one gate for all channels, [B, N, C, H, 1]: N is 1 for a whole chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.factored import LIMIT, Exact, OneLevel, TwoLevel
from kernels_pallas.gated_linear_attention.sums import (
    Product,
    exact_sums,
    heads_first,
    lower,
    lowest,
)


class Scheme(Protocol):
    """Decays of one chunk, and the scores inside it."""

    read: jax.Array
    write: jax.Array
    carry: jax.Array

    def scores(self, q: jax.Array, k: jax.Array) -> jax.Array:
        """Scores [n, C, C]."""

    def gradients(
        self, d_scores: jax.Array, q: jax.Array, k: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Gradients of q and k."""


class Undecayed:
    """No gates at all."""

    def __init__(self, like: jax.Array, product: Product) -> None:
        """Takes any array of the chunk for its dtype."""
        self.read = self.write = jnp.ones((1, 1, 1), like.dtype)
        self.carry = jnp.ones((1, 1), like.dtype)
        self._product = product

    def scores(self, q, k):
        return self._product("nid,njd->nij", q, k)

    def gradients(self, d_scores, q, k):
        d_q = self._product("nij,njd->nid", d_scores, k)
        return d_q, self._product("nij,nid->njd", d_scores, q)


class Masked:
    """One gate for all channels: scores times the matrix D_ij = e^(G_i - G_j)."""

    def __init__(self, g: jax.Array, product: Product) -> None:
        chunk = g.shape[2]
        after = lower(chunk, -1, g.dtype)  # [t, j]: gate t lies after key j
        g = jnp.maximum(heads_first(g), lowest(g.dtype))
        between = exact_sums("it,ntj->nij", lower(chunk, 0, g.dtype), g * after[None])
        # Masked before the exponential, so that gradients of it stay finite.
        visible = lower(chunk, 0, bool)[None]
        self._decay = jnp.exp(jnp.where(visible, between, -jnp.inf))
        self.read = self._decay[:, :, :1] * jnp.exp(g[:, :1])
        self.write = jnp.swapaxes(self._decay[:, -1:], 1, 2)
        self.carry = self.read[:, -1]
        self._product = product

    def scores(self, q, k):
        return self._decay * self._product("nid,njd->nij", q, k)

    def gradients(self, d_scores, q, k):
        d_products = self._decay * d_scores
        d_q = self._product("nij,njd->nid", d_products, k)
        return d_q, self._product("nij,nid->njd", d_products, q)


def by_scheme(
    walk: Callable[[Callable[..., Scheme]], Any], gates: jax.Array | None, chunk: int, intra: str
) -> Any:
    """Calls `walk` with the scheme for these gates.

    Args:
        walk: from a scheme to arrays.
        gates: log gates [B, N C, H, K], or [B, N C, H, 1] for one of all channels.
        chunk: C.
        intra: "one_level", "two_level" or "auto"; for gates per channel alone.
    """
    if gates is None:
        return walk(Undecayed)
    if gates.shape[-1] == 1:
        return walk(Masked)
    if intra != "auto":
        return walk(OneLevel if intra == "one_level" else TwoLevel)
    by_chunks = gates.astype(jnp.float32).reshape(gates.shape[0], -1, chunk, *gates.shape[2:])
    sums = jnp.sum(by_chunks, axis=2)
    # A NaN compares false, and so takes the way on which nothing is factored.
    mild = jnp.min(sums) > LIMIT
    return jax.lax.cond(mild, lambda: walk(OneLevel), lambda: walk(Exact))
