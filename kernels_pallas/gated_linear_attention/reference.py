"""The definition of gated linear attention: its recurrence, one step at a time; the oracle."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator


def forward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    initial_state: jax.Array,
    segments: jax.Array | None,
    *,
    scale: float,
    chunk_size: int = 64,
    intra: str = "auto",
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """S_t = Diag(exp g_t) S_{t-1} + k_t v_t^T, o_t = scale S_t^T q_t; float64 stays float64.

    Has no chunks: `chunk_size`, `intra` and `interpret` change nothing.
    """
    del chunk_size, intra, interpret
    wide = accumulator(q.dtype)
    decay = _decay(q, log_decay, wide)
    starts = jnp.zeros(q.shape[:2], bool) if segments is None else _starts(segments)

    def step(state, row):
        q_t, k_t, v_t, decay_t, start = row
        state = jnp.where(start[:, None, None, None], 0, state)
        state = decay_t[..., None] * state + k_t[..., None] * v_t[:, :, None]
        return state, scale * jnp.einsum("bhk,bhkv->bhv", q_t, state, precision="highest")

    by_batch = (q.astype(wide), k.astype(wide), v.astype(wide), decay, starts)
    by_time = [jnp.moveaxis(array, 1, 0) for array in by_batch]
    state, out = jax.lax.scan(step, initial_state.astype(wide), by_time)
    return jnp.moveaxis(out, 0, 1).astype(q.dtype), state


def _decay(q: jax.Array, log_decay: jax.Array | None, wide: jnp.dtype) -> jax.Array:
    """exp(log_decay) for every channel: [B, T, H, K]."""
    if log_decay is None:
        return jnp.ones(q.shape, wide)
    decay = jnp.exp(log_decay.astype(wide))
    if decay.ndim == 1:
        decay = decay[None, None]
    if decay.ndim == 3:
        decay = decay[..., None]
    return jnp.broadcast_to(decay, q.shape)


def _starts(segments: jax.Array) -> jax.Array:
    """Where the state restarts from zero; the first segment begins with the initial state."""
    return jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)))
