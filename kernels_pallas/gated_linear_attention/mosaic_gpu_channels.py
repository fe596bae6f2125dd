"""What happens inside every chunk on Hopper, for a gate of one number per channel: the scores."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.gated_linear_attention import mosaic_gpu_unit as unit
from kernels_pallas.gated_linear_attention.mosaic_gpu_channels_backward import gradients
from kernels_pallas.gated_linear_attention.mosaic_gpu_unit import CHUNK, LEVELS, LOW, Operand, Unit

__all__ = ["gradients", "scores"]


def scores(
    q: jax.Array, k: jax.Array, log_decay: jax.Array, *, scale: float, interpret: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A [B H N, C, C], scale q e^b and k e^(total - b) [B, T, H, K], all bfloat16.

    The decays between two rows are those of `mosaic_tpu_chunk`; the sums of log decays are products
    with 0/1 matrices, of log decays in two bfloat16 pieces.

    Args:
        q, k: [B, T, H, K] bfloat16, T a multiple of 64.
        log_decay: [B, T, H, K] float32.
    """
    batch, time, heads, width = q.shape
    chunks = time // CHUNK
    return unit.kernel(
        functools.partial(_kernel, Unit(bool(interpret)), scale, heads, chunks, width),
        out=[
            jax.ShapeDtypeStruct((batch * heads * chunks, CHUNK, CHUNK), LOW),
            jax.ShapeDtypeStruct(q.shape, LOW),
            jax.ShapeDtypeStruct(k.shape, LOW),
        ],
        grid={"batch": batch, "head": heads, "chunk": chunks},
        name="gated_linear_attention_scores_channels",
        interpret=interpret,
    )(q, k, log_decay)


def _kernel(on, scale, heads, chunks, width, q_ref, k_ref, gates_ref, *out_refs):
    b, h, n = (lax.axis_index(axis) for axis in ("batch", "head", "chunk"))
    place = (b, pl.ds(n * CHUNK, CHUNK), h)
    program = (b * heads + h) * chunks + n

    def scoped(q_s, k_s, gates_s, high_s, low_s, key_s, scores_s, barrier):
        unit.load(
            (q_ref.at[place], q_s), (k_ref.at[place], k_s), (gates_ref.at[place], gates_s),
            barrier=barrier,
        )  # fmt: skip
        plgpu.barrier_wait(barrier)
        found = on.zeros()
        for first in range(0, width, CHUNK):
            part = (slice(None), pl.ds(first, CHUNK))
            found = _slice(
                on, scale, q_s.at[part], k_s.at[part], gates_s.at[part], high_s, low_s, key_s, found
            )
        scores_s[...] = (scale * found).astype(LOW)
        scores_ref, q_out_ref, k_out_ref = out_refs
        unit.store(
            (scores_s, scores_ref.at[program]), (q_s, q_out_ref.at[place]),
            (k_s, k_out_ref.at[place]),
        )  # fmt: skip

    square = unit.tile(CHUNK, CHUNK)
    pl.run_scoped(
        scoped,
        unit.tile(CHUNK, width),
        unit.tile(CHUNK, width),
        unit.wide_tile(CHUNK, width),
        *(square,) * 4,
        plgpu.Barrier(num_arrivals=3),
    )


def _slice(on, scale, q_s, k_s, gates_s, high_s, low_s, key_s, found):
    """Adds the scores of 64 channels to `found`, and replaces q and k by their decayed forms."""
    unit.split(gates_s[...], high_s, low_s)

    def decay(matrix: jax.Array) -> jax.Array:
        return jnp.exp(on.product((matrix, high_s), (matrix, low_s)))

    def level(bit: jax.Array, found: jax.Array) -> jax.Array:
        half = unit.half_of(bit)
        decays = decay(on.summing(half))
        key_s[...] = (k_s[...].astype(jnp.float32) * decays).astype(LOW)
        plgpu.commit_smem()
        query = (q_s[...].astype(jnp.float32) * decays).astype(LOW)
        near = on.product((query, Operand(key_s, transposed=True)))
        return found + jnp.where(on.parted(half), near, 0.0)

    found = lax.fori_loop(0, LEVELS, level, found)
    q_s[...] = (scale * q_s[...].astype(jnp.float32) * decay(on.through())).astype(LOW)
    k_s[...] = (k_s[...].astype(jnp.float32) * decay(on.summing(CHUNK))).astype(LOW)
    return found
