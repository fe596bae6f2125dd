"""Decays and scores inside one chunk, for each kind of gate: the schemes of the XLA form.

A scheme is made from the log gates g of a chunk, with G their running sum, and gives

    read = e^G, write = e^(G_C - G), carry = e^(G_C)       what meets the state
    scores(q, k)_ij = sum_d q_id k_jd e^(G_id - G_jd)      for j <= i; other entries mean nothing
    gradients(dA, q, k)                                    of q and k; dA is zero for j > i

All arrays lead with n = batch times heads: q, k [n, C, K]; g [n, C, K] or, one gate for all
channels, [n, C, 1]; scores [n, C, C].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.factored import LIMIT, Exact, OneLevel, TwoLevel
from kernels_pallas.gated_linear_attention.sums import Product, exact_sums, lower, lowest


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
        """Takes any array [n, C, K] of the chunk for its dtype."""
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
        chunk = g.shape[1]
        after = lower(chunk, -1, g.dtype)  # [t, j]: gate t lies after key j
        g = jnp.maximum(g, lowest(g.dtype))
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
    walk: Callable[[Callable[..., Scheme]], Any], gates: jax.Array | None, intra: str
) -> Any:
    """Calls `walk` with the scheme for these gates.

    Args:
        walk: from a scheme to arrays.
        gates: log gates [N, B, C, H, K], or [N, B, C, H, 1] for one of all channels.
        intra: "one_level", "two_level" or "auto"; for gates per channel alone.
    """
    if gates is None:
        return walk(Undecayed)
    if gates.shape[-1] == 1:
        return walk(Masked)
    if intra != "auto":
        return walk(OneLevel if intra == "one_level" else TwoLevel)
    sums = jnp.sum(gates.astype(jnp.float32), axis=2)
    # A NaN compares false, and so takes the way on which nothing is factored.
    mild = jnp.min(sums) > LIMIT
    return jax.lax.cond(mild, lambda: walk(OneLevel), lambda: walk(Exact))
