"""The definition of attention, in few lines: the oracle for every other form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator

Segments = tuple[jax.Array, jax.Array]
"""Segment of every query [B, T] and of every key [B, S]."""


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
    """softmax(q k^T * scale + bias) v, every score in memory; float64 stays float64."""
    wide = accumulator(q.dtype)
    share = q.shape[2] // k.shape[2]
    queries, keys, values = q.astype(wide), k.astype(wide), v.astype(wide)
    keys, values = jnp.repeat(keys, share, axis=2), jnp.repeat(values, share, axis=2)
    scores = jnp.einsum("bthd,bshd->bhts", queries, keys, precision="highest") * scale
    if bias is not None:
        scores = scores + jnp.broadcast_to(bias, scores.shape).astype(wide)
    ahead = jnp.arange(k.shape[1])[None, :] - _positions(q, k)[:, None]
    seen = jnp.ones_like(ahead, bool)
    if causal:
        seen &= ahead <= 0
    if window is not None:
        seen &= jnp.abs(ahead) < window
    seen = seen[None, None]
    if segments is not None:
        seen = seen & (segments[0][:, None, :, None] == segments[1][:, None, None, :])
    scores = jnp.where(seen, scores, -jnp.inf)
    top = jnp.max(scores, axis=-1, keepdims=True)
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    weights = weights / jnp.where(total == 0, 1, total)
    return jnp.einsum("bhts,bshd->bthd", weights, values, precision="highest").astype(q.dtype)


def _positions(q: jax.Array, k: jax.Array) -> jax.Array:
    """Where the queries stand among the keys: at their end."""
    return jnp.arange(q.shape[1]) + (k.shape[1] - q.shape[1])
