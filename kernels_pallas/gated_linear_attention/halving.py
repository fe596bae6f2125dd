"""Scores of a chunk that no gate can spoil: every factor is a product of decays, at most one."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas.gated_linear_attention.sums import Product

ELEMENTWISE = 2
"""Halves of up to this many tokens multiply their few pairs without a matrix product."""


class _Level(NamedTuple):
    """Decays of all blocks that two halves of `size` tokens make.

    Args:
        size: tokens of a half.
        read: [n, blocks, size, K], from the middle to each token of the second half.
        write: [n, blocks, size, K], from each token of the first half to the middle.
    """

    size: int
    read: jax.Array
    write: jax.Array


class Halving:
    """Pairs within a half, and pairs across the middle as (q read) (k write)^T, by recursion.

    The decays of a block are products of those of its halves, one exponential for all: no sum of
    logs, no difference, nothing above one. A product that underflows stands for a zero.
    """

    def __init__(self, g: jax.Array, product: Product) -> None:
        n, chunk, width = g.shape
        decay = jnp.exp(g)[:, :, None]
        read, write, carry = decay, jnp.ones_like(decay), decay
        self._levels: list[_Level] = []
        size = 1
        while size < chunk:
            shape = (n, chunk // (2 * size), 2, size, width)
            (first, second), (early, late) = _halves(read, shape), _halves(write, shape)
            left, right = _halves(carry, (*shape[:3], 1, width))
            self._levels.append(_Level(size, second, early))
            read = jnp.concatenate([first, second * left], axis=2)
            write = jnp.concatenate([early * right, late], axis=2)
            carry = left * right
            size *= 2
        self.read, self.write = read[:, 0], write[:, 0]
        self.carry = carry[:, 0, 0]
        self._product = product

    def scores(self, q, k):
        scores = jnp.sum(q * k, axis=-1)[..., None, None]
        for level in self._levels:
            query, key = self._across(level, q, k)
            if level.size <= ELEMENTWISE:
                across = jnp.sum(query[:, :, :, None] * key[:, :, None], axis=-1)
            else:
                across = self._product("nbid,nbjd->nbij", query, key)
            shape = (*across.shape[:2], 2, level.size, level.size)
            first, second = _halves(scores, shape)
            top = jnp.concatenate([first, jnp.zeros_like(first)], axis=3)
            scores = jnp.concatenate([top, jnp.concatenate([across, second], axis=3)], axis=2)
        return scores[:, 0]

    def gradients(self, d_scores, q, k):
        diagonal = jnp.diagonal(d_scores, axis1=1, axis2=2)[..., None]
        d_q, d_k = diagonal * k, diagonal * q
        rest = d_scores[:, None]
        for level in reversed(self._levels):
            query, key = self._across(level, q, k)
            size = level.size
            across = rest[:, :, size:, :size]
            if size <= ELEMENTWISE:
                d_query = jnp.sum(across[..., None] * key[:, :, None], axis=3)
                d_key = jnp.sum(across[..., None] * query[:, :, :, None], axis=2)
            else:
                d_query = self._product("nbij,nbjd->nbid", across, key)
                d_key = self._product("nbij,nbid->nbjd", across, query)
            zero = jnp.zeros_like(d_query)
            d_q += _whole(zero, d_query * level.read, q.shape)
            d_k += _whole(d_key * level.write, zero, k.shape)
            inner = jnp.stack([rest[:, :, :size, :size], rest[:, :, size:, size:]], axis=2)
            rest = inner.reshape(q.shape[0], -1, size, size)
        return d_q, d_k

    def _across(self, level, q, k):
        """Queries of second halves and keys of first halves, decayed to the middle."""
        shape = (q.shape[0], level.read.shape[1], 2, level.size, q.shape[-1])
        return _halves(q, shape)[1] * level.read, _halves(k, shape)[0] * level.write


def _halves(array, shape):
    pairs = array.reshape(shape)
    return pairs[:, :, 0], pairs[:, :, 1]


def _whole(first, second, shape):
    return jnp.stack([first, second], axis=2).reshape(shape)
