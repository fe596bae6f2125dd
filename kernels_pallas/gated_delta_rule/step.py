"""One step of the recurrence, for decoding."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator
from kernels_pallas.gated_delta_rule import inputs
from kernels_pallas.gated_linear_attention.inputs import repeat_heads


def gated_delta_rule_step(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    beta: jax.Array,
    log_decay: jax.Array | None,
    state: jax.Array,
    *,
    scale: float | None = None,
    validate: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """S' = a (I - b k k^T) S + b k v^T; o = scale S'^T q (Yang et al. 2024b, eq. 10).

    Args:
        q: query [B, H, K] of one token.
        k: key [B, G, K]; G divides H, and query head h reads head h // (H // G).
        v: value [B, G, V].
        beta: strength b of the write [B, H] or [B, G], from 0 to 2.
        log_decay: log a of the gate [B, H] or [B, G], at most 0; None, no decay.
        state: [B, H, K, V] in float32 (float64 where q is), as this or the whole op returned it.
        scale: multiplies q; K^-0.5 when None.
        validate: as for the whole op.

    Returns:
        (o [B, H, V] in the dtype of `q`, the new state).

    Raises:
        TypeError: dtypes that are not floating, differ, or a state that is not float32.
        ValueError: shapes that do not fit, or gates or strengths out of bounds where known.

    Cost: 2 B H K V MACs; 8 B H K V bytes for the state, read and written once.
    """
    op = "gated_delta_rule_step"
    sizes = inputs.check(
        op, q, k, v, beta, log_decay, state, time=False, state_name="state", validate=validate
    )
    heads, wide = sizes["H"], accumulator(q.dtype)
    scale = sizes["K"] ** -0.5 if scale is None else scale
    key, value, strength = (repeat_heads(one.astype(wide), heads, 1) for one in (k, v, beta))
    gate = None if log_decay is None else repeat_heads(log_decay.astype(wide), heads, 1)
    state = updated(state, key, value, strength, gate)
    query = q.astype(wide) * jnp.asarray(scale, wide)
    out = jnp.einsum("bhk,bhkv->bhv", query, state, precision="highest")
    return out.astype(q.dtype), state


def updated(
    state: jax.Array, key: jax.Array, value: jax.Array, beta: jax.Array, gate: jax.Array | None
) -> jax.Array:
    """The state [B, H, K, V] after one token: decayed, then moved toward value at key.

    With S = a S_{t-1}, the state reads S^T k where v should stand; b of the difference is written.
    """
    if gate is not None:
        state = state * jnp.exp(gate)[..., None, None]
    found = jnp.einsum("bhk,bhkv->bhv", key, state, precision="highest")
    change = beta[..., None] * (value - found)
    return state + key[..., None] * change[:, :, None]
