"""Attention for any device in plain XLA: at once for few queries, else by heads and row blocks.

The blocked form never holds more than one head's block of scores. On CPU it is also faster from
about a thousand queries on, since a block's scores stay in cache between the two products.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

ROWS = 256
"""Query rows in one block; fastest of 128 to 1024 on an AVX-512 CPU."""

PLAIN_QUERIES = 512
"""Up to this many queries, all scores are held at once."""


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    bias: jax.Array | None,
    causal: bool,
    scale: float,
) -> jax.Array:
    """softmax(q k^T * scale + bias) v; arguments as in `kernels_pallas.attention.attention`."""
    heads, kv_heads = q.shape[2], k.shape[2]
    # Scaling q costs T*D products where scaling the scores costs T*S.
    queries = jnp.moveaxis(q * jnp.asarray(scale, q.dtype), 2, 0)
    keys, values = jnp.moveaxis(k, 2, 0), jnp.moveaxis(v, 2, 0)
    if heads != kv_heads:
        keys, values = (jnp.repeat(a, heads // kv_heads, axis=0) for a in (keys, values))
    if bias is not None:
        bias = jnp.moveaxis(bias, 1, 0)
    form = _plain if q.shape[1] <= PLAIN_QUERIES else _blocked
    out = form(queries, keys, values, bias, causal)
    return jnp.moveaxis(out, 0, 2)


def _plain(
    q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | None, causal: bool
) -> jax.Array:
    """All heads at once: q [H, B, T, D], k [H, B, S, D], v [H, B, S, E]; bias has any axis 1."""
    t, s = q.shape[2], k.shape[2]
    mask = _seen(jnp.arange(t), s - t, s) if causal else None
    return _softmax_product(q, k, v, bias, mask)


def _blocked(
    q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | None, causal: bool
) -> jax.Array:
    """One head and `ROWS` queries at a time; the backward pass makes scores again."""
    heads, batch, t, width = q.shape
    s = k.shape[2]
    blocks = -(-t // ROWS)
    spare = blocks * ROWS - t
    rows = jnp.pad(q, ((0, 0), (0, 0), (0, spare), (0, 0)))
    rows = jnp.moveaxis(rows.reshape(heads, batch, blocks, ROWS, width), 2, 1)
    starts = jnp.arange(blocks) * ROWS
    by_head = bias is not None and bias.shape[0] > 1
    by_row = bias is not None and bias.shape[2] > 1
    if bias is not None and by_row:
        bias = jnp.pad(bias, ((0, 0), (0, 0), (0, spare), (0, 0)))

    @functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.nothing_saveable)
    def block(start, q_block, k_head, v_head, bias_head):
        mask = _seen(start + jnp.arange(ROWS), s - t, s) if causal else None
        if bias_head is not None and by_row:
            bias_head = jax.lax.dynamic_slice_in_dim(bias_head, start, ROWS, axis=2)
        return _softmax_product(q_block[None], k_head, v_head, bias_head, mask)[0]

    def head(operands):
        index, q_head, k_head, v_head = operands
        bias_head = bias
        if bias is not None and by_head:
            bias_head = jax.lax.dynamic_slice_in_dim(bias, index, 1, axis=0)
        return jax.lax.map(
            lambda xs: block(xs[0], xs[1], k_head[None], v_head[None], bias_head), (starts, q_head)
        )

    out = jax.lax.map(head, (jnp.arange(heads), rows, k, v))
    out = jnp.moveaxis(out, 1, 2).reshape(heads, batch, blocks * ROWS, v.shape[-1])
    return out[:, :, :t]


def _seen(rows: jax.Array, offset: int, keys: int) -> jax.Array:
    return jnp.arange(keys)[None, :] <= rows[:, None] + offset


def _softmax_product(
    q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | None, mask: jax.Array | None
) -> jax.Array:
    """exp(q k^T - max) v / sum: dividing after the product, [T, E] values instead of [T, S]."""
    wide = jnp.float64 if q.dtype == jnp.float64 else jnp.float32
    scores = jnp.einsum("hbtd,hbsd->hbts", q, k, preferred_element_type=wide)
    if bias is not None:
        scores = scores + jnp.broadcast_to(bias.astype(wide), scores.shape)
    if mask is not None:
        scores = jnp.where(mask[None, None], scores, -jnp.inf)
    top = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    hidden = bias is not None
    if hidden:  # a row may have every key hidden: keep inf - inf out of it
        top = jnp.where(jnp.isfinite(top), top, 0)
    weights = jnp.exp(scores - top)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    if hidden:
        total = jnp.where(total > 0, total, 1)
    out = jnp.einsum("hbts,hbse->hbte", weights.astype(v.dtype), v, preferred_element_type=wide)
    return (out / total).astype(q.dtype)
