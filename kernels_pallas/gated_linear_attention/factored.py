"""Scores inside a chunk by factoring the decay, for gates per channel."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.levels import Levels
from kernels_pallas.gated_linear_attention.sums import Product, heads_first, lower, sums_of_rows

SUB_BLOCK = 16
"""Tokens of a sub-block of `TwoLevel`."""

LIMIT = -80.0
"""Gates of a factored block may sum to this much: e^40 either way of its middle stays exact."""


class OneLevel:
    """(q e^(G - r)) (k e^(r - G))^T around r = G_C / 2, the middle of the chunk's decay.

    Around the middle both exponents stay within half the decay of the chunk, and one exponential
    gives every factor: e^(G_C - r) is its last row.
    """

    def __init__(self, g: jax.Array, product: Product) -> None:
        around = lower(g.shape[2], 0, g.dtype) - 0.5  # sums of the gates, less half of them all
        decay = jnp.exp(heads_first(sums_of_rows(around, g)))
        self._decay = jax.lax.optimization_barrier(decay)  # else XLA has 1 / e^x as another e^-x
        half = self._decay[:, -1:]
        self.read = self._decay * half
        self.write = half / self._decay
        self.carry = (half * half)[:, 0]
        self._product = product

    def scores(self, q, k):
        return self._product("nid,njd->nij", q * self._decay, k / self._decay)

    def gradients(self, d_scores, q, k):
        d_q = self._product("nij,njd->nid", d_scores, k / self._decay) * self._decay
        return d_q, self._product("nij,nid->njd", d_scores, q * self._decay) / self._decay


class TwoLevel:
    """`OneLevel` in each sub-block; between them, around the first row of the queries (fig. 3).

    Exponents between sub-blocks are never positive, so only those inside one have a limit.
    """

    inside: type = OneLevel
    """The scheme of a sub-block."""

    def __init__(self, g: jax.Array, product: Product) -> None:
        batch, _, chunk, heads, width = g.shape
        size = min(SUB_BLOCK, chunk)
        self._blocks = chunk // size
        self._inner = self.inside(g.reshape(batch, -1, size, heads, width), product)
        self._read, write = self._apart(self._inner.read), self._apart(self._inner.write)
        carry = self._apart(self._inner.carry)
        # Decay of the sub-blocks before each and after it. `where` fuses; pieces joined do not.
        here = jnp.arange(self._blocks)[:, None]
        before = after = jnp.ones_like(carry)
        for block in range(self._blocks):
            before = before * jnp.where(block < here, carry[:, block, None], 1)
            after = after * jnp.where(block > here, carry[:, block, None], 1)
        self.read = (self._read * before[:, :, None]).reshape(-1, chunk, width)
        self.write = (write * after[:, :, None]).reshape(-1, chunk, width)
        self.carry = before[:, -1] * carry[:, -1]
        # reach[I]: decay of each key before sub-block I + 1 to its start.
        self._reach = [write[:, 0]]
        for block in range(1, self._blocks - 1):
            earlier = self._reach[-1] * carry[:, block, None]
            self._reach.append(jnp.concatenate([earlier, write[:, block]], axis=1))
        self._product = product

    def scores(self, q, k):
        size = self._read.shape[2]
        inner = self._apart(self._inner.scores(self._alone(q), self._alone(k)))
        rows = []
        for block in range(self._blocks):
            row = [inner[:, block]]
            if block:
                query, key = self._between(block, q, k)
                row.insert(0, self._product("nid,njd->nij", query, key))
            unseen = (self._blocks - 1 - block) * size
            rows.append(jnp.pad(jnp.concatenate(row, axis=2), ((0, 0), (0, 0), (0, unseen))))
        return jnp.concatenate(rows, axis=1)

    def gradients(self, d_scores, q, k):
        size = self._read.shape[2]
        places = [slice(block * size, (block + 1) * size) for block in range(self._blocks)]
        diagonal = jnp.stack([d_scores[:, place, place] for place in places], axis=1)
        inner = self._inner.gradients(
            diagonal.reshape(-1, size, size), self._alone(q), self._alone(k)
        )
        d_q, d_k = (list(jnp.moveaxis(self._apart(one), 1, 0)) for one in inner)
        for block in range(1, self._blocks):
            query, key = self._between(block, q, k)
            piece = d_scores[:, places[block], : block * size]
            d_q[block] += self._product("nij,njd->nid", piece, key) * self._read[:, block]
            d_key = self._product("nij,nid->njd", piece, query) * self._reach[block - 1]
            for earlier in range(block):
                d_k[earlier] += d_key[:, places[earlier]]
        return jnp.concatenate(d_q, axis=1), jnp.concatenate(d_k, axis=1)

    def _between(self, block, q, k):
        """Queries of a sub-block and all keys before it, both decayed to its first row."""
        size = self._read.shape[2]
        query = q[:, block * size : (block + 1) * size] * self._read[:, block]
        return query, k[:, : block * size] * self._reach[block - 1]

    def _apart(self, array):
        return array.reshape(-1, self._blocks, *array.shape[1:])

    def _alone(self, array):
        n, chunk, width = array.shape
        return array.reshape(n * self._blocks, chunk // self._blocks, width)


class Exact(TwoLevel):
    """`Levels` in each sub-block: for gates of any strength."""

    inside = Levels
