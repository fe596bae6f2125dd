"""Softmax attention whose keys and values come in parts, none of which need stay.

Of each part only its largest score, its sum and its product are kept, and made one (Milakov &
Gimelshein 2018, arXiv 1805.02867, section 3).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32


class Sums(NamedTuple):
    """What is known after some parts, float32; H query heads as G groups of R.

    Attributes:
        top: the largest score.
        total: sum of exp(score - top).
        out: sum of exp(score - top) v.
    """

    top: Float32[Array, "B G R T 1"]
    total: Float32[Array, "B G R T 1"]
    out: Float32[Array, "B G R T K"]


def nothing(q: Float[Array, "B T H K"], kv_heads: int) -> Sums:
    """Before the first part."""
    batch, queries, heads, width = q.shape
    shape = (batch, kv_heads, heads // kv_heads, queries)
    zeros = jnp.zeros((*shape, 1))
    return Sums(jnp.full((*shape, 1), -jnp.inf), zeros, jnp.zeros((*shape, width)))


def with_part(
    sums: Sums,
    q: Float[Array, "B T H K"],
    k: Float[Array, "B S G K"],
    v: Float[Array, "B S G K"],
    seen: Bool[Array, "B T S"],
) -> Sums:
    """The sums with one more part.

    Args:
        sums: of those before.
        q: queries.
        k, v: of the part.
        seen: which keys a query sees.
    """
    groups, share = sums.top.shape[1:3]
    rows = q.reshape(*q.shape[:2], groups, share, q.shape[3])
    products = {"preferred_element_type": jnp.float32}
    scores = jnp.einsum("btgrk,bsgk->bgrts", rows, k, **products) * q.shape[3] ** -0.5
    scores = jnp.where(seen[:, None, None], scores, -jnp.inf)
    top = jnp.maximum(sums.top, jnp.max(scores, axis=-1, keepdims=True))
    finite = jnp.where(jnp.isfinite(top), top, 0)  # keeps inf - inf out where nothing is seen
    weights, before = jnp.exp(scores - finite), jnp.exp(sums.top - finite)
    more = jnp.einsum("bgrts,bsgk->bgrtk", weights.astype(v.dtype), v, **products)
    total = before * sums.total + jnp.sum(weights, axis=-1, keepdims=True)
    return Sums(top, total, before * sums.out + more)


def result(sums: Sums) -> Float32[Array, "B T H K"]:
    """softmax(q k^T / sqrt(K)) v over all parts; each query must have seen a key."""
    out = jnp.moveaxis(sums.out / sums.total, 3, 1)
    return out.reshape(*out.shape[:2], -1, out.shape[-1])
