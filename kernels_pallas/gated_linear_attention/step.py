"""One step of the recurrence, for decoding."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator
from kernels_pallas.gated_linear_attention import inputs


def gated_linear_attention_step(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    state: jax.Array,
    *,
    scale: float | None = None,
    validate: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """S = Diag(exp log_decay) S + k v^T; o = scale S^T q (Yang et al. 2023, eq. 3).

    Args:
        q: query [B, H, K] of one token.
        k: key [B, G, K]; G divides H, and query head h reads head h // (H // G).
        v: value [B, G, V].
        log_decay: log of the gate, at most 0: [B, H, K], [B, H], [H] or None (no decay); its
            heads may also be the G of `k`.
        state: [B, H, K, V] in float32 (float64 where q is), as this or the whole op returned it.
        scale: multiplies q; K^-0.5 when None.
        validate: as for the whole op.

    Returns:
        (o [B, H, V] in the dtype of `q`, the new state).

    Raises:
        TypeError: dtypes that are not floating, differ, or a state that is not float32.
        ValueError: shapes that do not fit, or positive or NaN gates where they are known.

    Cost: B H K V MACs; 8 B H K V bytes for the state, read and written once.
    """
    op = "gated_linear_attention_step"
    sizes = inputs.check(
        op, q, k, v, log_decay, state, time=False, state_name="state", validate=validate
    )
    heads, wide = sizes["H"], accumulator(q.dtype)
    scale = sizes["K"] ** -0.5 if scale is None else scale
    key, value = (inputs.repeat_heads(array.astype(wide), heads, 1) for array in (k, v))
    if log_decay is not None:
        state = state * _decay(log_decay.astype(wide), heads, state.ndim)
    state = state + key[..., None] * value[:, :, None]
    query = q.astype(wide) * jnp.asarray(scale, wide)
    out = jnp.einsum("bhk,bhkv->bhv", query, state, precision="highest")
    return out.astype(q.dtype), state


def _decay(log_decay: jax.Array, heads: int, ndim: int) -> jax.Array:
    """exp(log_decay), broadcastable against the state [B, H, K, V]."""
    if log_decay.ndim == 1:
        log_decay = log_decay[None]
    decay = jnp.exp(inputs.repeat_heads(log_decay, heads, 1))
    return jnp.expand_dims(decay, range(decay.ndim, ndim))
