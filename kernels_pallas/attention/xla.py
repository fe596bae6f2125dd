"""Attention for any device in plain XLA: at once where there are few scores, else by tiles.

A tile is small enough for its scores to stay in a CPU's cache between the two products, and never
holds keys that none of its rows can see.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas import dispatch, tuning
from kernels_pallas.attention import blocked, tiles
from kernels_pallas.attention.reference import Segments


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None = None,
    segments: Segments | None = None,
    *,
    causal: bool,
    window: int | None,
    scale: float,
) -> jax.Array:
    """softmax(q k^T * scale + bias) v; arguments as in `kernels_pallas.attention.attention`."""
    target = dispatch.current_target()
    sizes = tuning.blocks("attention", "xla", target.kind)
    batch, queries, heads, width = q.shape
    keys, kv_heads = k.shape[1:3]
    out_dtype = q.dtype
    if target.platform == "cpu" and jnp.finfo(q.dtype).bits < 32:  # no fast products there
        q, k, v = (array.astype(jnp.float32) for array in (q, k, v))
    # Query heads of one kv head are neighbours, and rows of one product with it.
    rows = q.reshape(batch, queries, kv_heads, heads // kv_heads, width)
    rows = jnp.moveaxis(rows, 1, 3)
    k, v = jnp.moveaxis(k, 1, 2), jnp.moveaxis(v, 1, 2)
    if bias is not None:
        by_head = (kv_heads, heads // kv_heads) if bias.shape[1] > 1 else (1, 1)
        bias = bias.reshape(bias.shape[0], *by_head, *bias.shape[2:])
    cut = tiles.tiles(rows.shape, keys, sizes, causal, window, scale)
    if batch * heads * queries * keys <= sizes["plain"]:
        out = _plain(rows, k, v, bias, segments, cut)
    else:
        out = blocked.attention(rows, k, v, bias, segments, cut)
    return jnp.moveaxis(out, 3, 1).reshape(batch, queries, heads, v.shape[-1]).astype(out_dtype)


def _plain(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None,
    segments: Segments | None,
    cut: tiles.Tiles,
) -> jax.Array:
    """All scores at once, kept for the gradient: q [B, K, G, T, D], k and v [B, K, S, D or E]."""
    queries, keys = q.shape[3], k.shape[2]
    positions = jnp.arange(queries) + (keys - queries)
    seen = tiles.seen(cut, positions, jnp.arange(keys), segments)
    scaled = q * jnp.asarray(cut.scale, q.dtype)
    scores = blocked.scores(scaled, k, bias, seen)
    hidden = not (bias is None and segments is None and cut.window is None)
    return blocked.unfolded(blocked.softmax_product(scores, v, hidden)[0], q.shape[2])
