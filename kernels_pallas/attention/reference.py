"""The definition of attention, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    bias: jax.Array | None,
    causal: bool,
    scale: float,
) -> jax.Array:
    """softmax(q k^T * scale + bias) v, every score in memory; float64 stays float64."""
    wide = jnp.float64 if q.dtype == jnp.float64 else jnp.float32
    share = q.shape[2] // k.shape[2]
    queries, keys, values = q.astype(wide), k.astype(wide), v.astype(wide)
    keys, values = jnp.repeat(keys, share, axis=2), jnp.repeat(values, share, axis=2)
    scores = jnp.einsum("bthd,bshd->bhts", queries, keys, precision="highest") * scale
    if bias is not None:
        scores = scores + jnp.broadcast_to(bias, scores.shape).astype(wide)
    if causal:
        t, s = scores.shape[2:]
        seen = jnp.arange(s)[None, :] <= jnp.arange(t)[:, None] + (s - t)
        scores = jnp.where(seen[None, None], scores, -jnp.inf)
    top = jnp.max(scores, axis=-1, keepdims=True)
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    weights = weights / jnp.where(total > 0, total, 1)
    return jnp.einsum("bhts,bshd->bthd", weights, values, precision="highest").astype(q.dtype)
