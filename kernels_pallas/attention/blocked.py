"""Attention by tiles of scores, with a gradient that makes each tile again.

Forward keeps the logarithm of each row's sum, L; backward then has the softmax of a tile without a
second pass: P = exp(S - L), dS = P (dP - rowsum(dO O)) (Dao 2023, "FlashAttention-2", section 3.1).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas import manual
from kernels_pallas.attention.layout import (
    Biases,
    joined,
    keys_added,
    mask,
    padded,
    places,
    some_keys,
    split,
    whole,
)
from kernels_pallas.attention.reference import Segments
from kernels_pallas.attention.tiles import Stripe, Tiles, first_key, stripes
from kernels_pallas.dtypes import accumulator


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None,
    segments: Segments | None,
    cut: Tiles,
) -> jax.Array:
    """softmax(q k^T * scale + bias) v, a tile at a time.

    Args:
        q: [B, K, G, T, D], G query heads for each of K key/value heads.
        k, v: [B, K, S, D] and [B, K, S, E].
        bias: [B, K, G, T, S], any axis 1.
        segments: of queries [B, T] and keys [B, S].
        cut: the tiles.
    """
    return _forward(q, k, v, bias, segments, cut)[0]


def _saved(q: Any, k: Any, v: Any, bias: Any, segments: Any, cut: Tiles) -> Any:
    out, logsum = _forward(q, k, v, bias, segments, cut)
    return out, (q, k, v, bias, segments, out, logsum)


class _Blocks:
    """What both directions need of a block: its rows, keys, bias and mask."""

    def __init__(self, q: Any, k: Any, bias: Any, segments: Any, cut: Tiles) -> None:
        self.queries, self.keys, self.cut = q.shape[3], k.shape[2], cut
        self.stripes = stripes(cut, self.queries, self.keys)
        self.biases = None if bias is None else Biases(padded(bias, 3, cut.rows), cut)
        self.segments = segments and (padded(segments[0], 1, cut.rows), segments[1])

    def starts(self, stripe: Stripe) -> jax.Array:
        """First rows of the blocks of a stripe."""
        return stripe.row + jnp.arange(stripe.blocks) * self.cut.rows

    def first_key(self, stripe: Stripe, row: jax.Array) -> jax.Array:
        """First key of a block."""
        return first_key(self.cut, stripe, row, self.queries, self.keys)

    def scores(self, q: Any, k: Any, place: Any, row: Any, start: Any, stripe: Stripe) -> Any:
        """Scores of a block, -inf where a query does not see a key."""
        bias = None
        if self.biases is not None:
            bias = self.biases.block(place, row, start, stripe.keys)
        offset = self.keys - self.queries
        seen = mask(self.segments, place, row, start, self.cut, stripe, offset)
        return scores(q, k, bias, seen)

    @property
    def hidden(self) -> bool:
        """Whether a row may see nothing."""
        cut = self.cut
        return not (self.biases is None and self.segments is None and cut.window is None)


@functools.partial(jax.jit, static_argnames="cut")
def _forward(q: Any, k: Any, v: Any, bias: Any, segments: Any, cut: Tiles) -> Any:
    blocks = _Blocks(q, k, bias, segments, cut)
    rows = padded(q * jnp.asarray(cut.scale, q.dtype), 3, cut.rows)

    def tile(operands: Any) -> Any:
        place, q_tile, k_tile, v_tile = operands

        def block(stripe: Stripe, row: Any) -> Any:
            start = blocks.first_key(stripe, row)
            q_rows = lax.dynamic_slice_in_dim(q_tile, row, cut.rows, axis=3)
            k_seen, v_seen = (some_keys(a, start, stripe) for a in (k_tile, v_tile))
            found = blocks.scores(q_rows, k_seen, place, row, start, stripe)
            rows_and_sums = softmax_product(found, v_seen, blocks.hidden)
            return [unfolded(array, q.shape[2]) for array in rows_and_sums]

        found = [
            lax.map(functools.partial(block, stripe), blocks.starts(stripe))
            for stripe in blocks.stripes
        ]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)

    out, logsum = lax.map(tile, (places(q.shape, cut), *(split(a, cut) for a in (rows, k, v))))
    return joined(out, q.shape).astype(q.dtype), joined(logsum, q.shape)


@functools.partial(jax.jit, static_argnames="cut")
def _backward(cut: Tiles, saved: Any, d_out: jax.Array) -> Any:
    q, k, v, bias, segments, out, logsum = saved
    wide = logsum.dtype
    blocks = _Blocks(q, k, bias, segments, cut)
    inner = jnp.sum(out.astype(wide) * d_out.astype(wide), axis=-1, keepdims=True)
    scaled = q * jnp.asarray(cut.scale, q.dtype)
    rows = [split(padded(a, 3, cut.rows), cut) for a in (scaled, d_out, logsum, inner)]

    def tile(d_bias: Any, operands: Any) -> Any:
        place, k_tile, v_tile, *row_tiles = operands

        def block(stripe: Stripe, carry: Any, row: Any) -> Any:
            d_k, d_v, d_bias = carry
            start = blocks.first_key(stripe, row)
            slices = [lax.dynamic_slice_in_dim(a, row, cut.rows, axis=3) for a in row_tiles]
            q_rows, d_rows, logsums, inners = (folded(a) for a in slices)
            k_seen, v_seen = (some_keys(a, start, stripe) for a in (k_tile, v_tile))
            found = blocks.scores(slices[0], k_seen, place, row, start, stripe)
            weights = jnp.exp(found - logsums)
            d_scores = weights * (product("bnre,bnse->bnrs", d_rows, v_seen) - inners)
            if blocks.biases is not None:
                by_head = unfolded(d_scores, q.shape[2])
                d_bias = blocks.biases.added(d_bias, by_head, place, row, start)
            weights, d_scores = weights.astype(v.dtype), d_scores.astype(q.dtype)
            # Products that would transpose a tile of weights transpose the rows instead.
            d_v = keys_added(d_v, product("bnre,bnrs->bnes", d_rows, weights), start)
            d_k = keys_added(d_k, product("bnrd,bnrs->bnds", q_rows, d_scores), start)
            d_q = product("bnrs,bnsd->bnrd", d_scores, k_seen) * cut.scale
            return (d_k, d_v, d_bias), unfolded(d_q, q.shape[2]).astype(q.dtype)

        d_k, d_v = (
            manual.varying(jnp.zeros(jnp.swapaxes(a, 2, 3).shape, wide), a)
            for a in (k_tile, v_tile)
        )
        found = []
        for stripe in blocks.stripes:
            step = functools.partial(block, stripe)
            reach = None if stripe.slides else stripe.keys
            carry = (d_k[..., :reach], d_v[..., :reach], d_bias)
            (more_k, more_v, d_bias), d_q = lax.scan(step, carry, blocks.starts(stripe))
            d_k, d_v = (
                lax.dynamic_update_slice_in_dim(all_keys, part, 0, axis=3)
                for all_keys, part in ((d_k, more_k), (d_v, more_v))
            )
            found.append(d_q)
        d_k, d_v = (jnp.swapaxes(a, 2, 3).astype(k.dtype) for a in (d_k, d_v))
        return d_bias, (jnp.concatenate(found), d_k, d_v)

    zeros: Any = None
    if blocks.biases is not None:
        zeros = manual.varying(jnp.zeros(blocks.biases.array.shape, wide), q)
    operands = (places(q.shape, cut), *(split(a, cut) for a in (k, v)), *rows)
    d_bias, (d_q, d_k, d_v) = lax.scan(tile, zeros, operands)
    if bias is not None:
        d_bias = d_bias[:, :, :, : bias.shape[3]].astype(bias.dtype)
    return joined(d_q, q.shape), whole(d_k, k.shape), whole(d_v, v.shape), d_bias, None


attention.defvjp(_saved, _backward)


def softmax_product(scores: jax.Array, v: jax.Array, hidden: bool) -> tuple[jax.Array, jax.Array]:
    """exp(S - max) v / sum: dividing after the product, [T, E] values instead of [T, S].

    Args:
        scores: [b, n, r, s].
        v: [b, n, s, e].
        hidden: whether a row may see nothing, which then is zero.

    Returns:
        The rows [b, n, r, e], and the logarithm of their sums [b, n, r, 1], infinite where a row
        sees nothing, so that exp(S - L) is zero there.
    """
    top = lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    if hidden:  # keep inf - inf out of such a row
        top = jnp.where(jnp.isfinite(top), top, 0)
    weights = jnp.exp(scores - top)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    empty = total == 0
    out = product("bnrs,bnse->bnre", weights.astype(v.dtype), v)
    out = out / (jnp.where(empty, 1, total) if hidden else total)
    return out, jnp.where(empty, jnp.inf, top + jnp.log(total))


def scores(q: jax.Array, k: jax.Array, bias: jax.Array | None, seen: jax.Array | None) -> jax.Array:
    """q k^T + bias, -inf where not seen, [b, n, g r, s].

    Args:
        q: scaled [b, n, g, r, d].
        k: [b, n, s, d].
        bias, seen: [b, n, g, r, s], any axis 1.
    """
    full = (*q.shape[:4], k.shape[2])
    found = product("bnrd,bnsd->bnrs", folded(q), k)
    if bias is not None:
        found = found + folded(jnp.broadcast_to(bias, full)).astype(found.dtype)
    if seen is not None:
        found = jnp.where(folded(jnp.broadcast_to(seen, full)), found, -jnp.inf)
    return found


def folded(array: jax.Array) -> jax.Array:
    """[b, n, g, r, d] as [b, n, g r, d]: an axis more costs XLA's loops on a CPU dearly."""
    return array.reshape(*array.shape[:2], -1, array.shape[-1])


def unfolded(array: jax.Array, share: int) -> jax.Array:
    """[b, n, g r, d] as [b, n, g, r, d]."""
    return array.reshape(*array.shape[:2], share, -1, array.shape[-1])


def product(axes: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """A product summed in float32, or float64 where it came."""
    wide = accumulator(a.dtype)
    full = "highest" if a.dtype == jnp.float32 else None  # accelerators round float32 otherwise
    return jnp.einsum(axes, a, b, preferred_element_type=wide, precision=full)
