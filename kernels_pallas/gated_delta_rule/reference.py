"""The definition of the gated delta rule: its recurrence, one step at a time; the oracle."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator
from kernels_pallas.gated_delta_rule.step import updated


def forward(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    beta: jax.Array,
    log_decay: jax.Array | None,
    initial_state: jax.Array,
    segments: jax.Array | None,
    *,
    scale: float,
    chunk_size: int = 64,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T, o_t = scale S_t^T q_t.

    float64 stays float64. Has no chunks: `chunk_size` and `interpret` change nothing.
    """
    del chunk_size, interpret
    wide = accumulator(q.dtype)
    gates = jnp.zeros(beta.shape, wide) if log_decay is None else log_decay.astype(wide)
    if segments is not None:  # the first segment begins with the initial state
        starts = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)))
        gates = jnp.where(starts[..., None], -jnp.inf, gates)

    def step(state, row):
        q_t, k_t, v_t, beta_t, gate_t = row
        state = updated(state, k_t, v_t, beta_t, gate_t)
        return state, scale * jnp.einsum("bhk,bhkv->bhv", q_t, state, precision="highest")

    by_batch = (*(array.astype(wide) for array in (q, k, v, beta)), gates)
    by_time = [jnp.moveaxis(array, 1, 0) for array in by_batch]
    state, out = jax.lax.scan(step, initial_state.astype(wide), by_time)
    return jnp.moveaxis(out, 0, 1).astype(q.dtype), state
