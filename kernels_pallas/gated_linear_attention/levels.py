"""Scores inside a block that no gate can spoil: no sum of gates is ever taken from another."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.sums import Product, heads_first, lowest, sums_of_rows


class Levels:
    """Each pair of tokens meets at the boundary that parts them, in one product for each level.

    Tokens i > j first part where their numbers differ in the highest bit: between them lies a
    boundary of two aligned halves of 1, 2, 4, ... tokens. The query decays back to it and the key
    forward to it, both by plain sums of gates, so every factor is at most one.
    """

    def __init__(self, g: jax.Array, product: Product) -> None:
        size = g.shape[2]
        token, other = jnp.arange(size)[:, None], jnp.arange(size)[None]
        counted, parted = [other <= token, other > token], []
        half = 1
        while half < size:
            start = token // half * half
            second = token // half % 2 == 1
            back, ahead = (
                (start <= other) & (other <= token),
                (token < other) & (other < start + half),
            )
            counted.append(jnp.where(second, back, ahead))
            parted.append((token // (2 * half) == other // (2 * half)) & second & ~second.T)
            half *= 2
        sums = sums_of_rows(
            jnp.concatenate(counted).astype(g.dtype), jnp.maximum(g, lowest(g.dtype))
        )
        decay = jnp.exp(heads_first(sums)).reshape(-1, len(counted), size, g.shape[-1])
        self.read, self.write, self._decay = decay[:, 0], decay[:, 1], decay[:, 2:]
        self.carry = self.read[:, -1]
        self._parted = jnp.stack(parted)[None]
        self._product = product

    def scores(self, q, k):
        pairs = self._product("nlid,nljd->nlij", *self._to_boundaries(q, k))
        own = jnp.sum(q * k, axis=-1)[:, None] * jnp.eye(q.shape[1], dtype=q.dtype)[None]
        return own + jnp.sum(jnp.where(self._parted, pairs, 0), axis=1)

    def gradients(self, d_scores, q, k):
        query, key = self._to_boundaries(q, k)
        d_pairs = jnp.where(self._parted, d_scores[:, None], 0)
        d_query = self._product("nlij,nljd->nlid", d_pairs, key)
        d_key = self._product("nlij,nlid->nljd", d_pairs, query)
        own = jnp.diagonal(d_scores, axis1=1, axis2=2)[..., None]
        d_q = own * k + jnp.sum(d_query * self._decay, axis=1)
        return d_q, own * q + jnp.sum(d_key * self._decay, axis=1)

    def _to_boundaries(self, q, k):
        return q[:, None] * self._decay, k[:, None] * self._decay
