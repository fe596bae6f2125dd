"""What happens inside every chunk on Hopper, for a gate of one number per row.

The decays between two rows of a chunk are then one matrix of weights, and no levels are needed.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.gated_linear_attention import mosaic_gpu_gradients
from kernels_pallas.gated_linear_attention import mosaic_gpu_unit as unit
from kernels_pallas.gated_linear_attention.mosaic_gates import NEVER
from kernels_pallas.gated_linear_attention.mosaic_gpu_unit import (
    CHUNK,
    COLUMNS,
    LOW,
    ROWS,
    Operand,
    Unit,
)


def scores(
    q: jax.Array, k: jax.Array, gates: jax.Array, *, scale: float, interpret: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As `mosaic_gpu_channels.scores`, of log decays [B H N, C] float32."""
    batch, time, heads, width = q.shape
    chunks = time // CHUNK
    return unit.kernel(
        functools.partial(_scores_kernel, Unit(bool(interpret)), scale, heads, chunks, width),
        out=[
            jax.ShapeDtypeStruct((batch * heads * chunks, CHUNK, CHUNK), LOW),
            jax.ShapeDtypeStruct(q.shape, LOW),
            jax.ShapeDtypeStruct(k.shape, LOW),
        ],
        grid={"batch": batch, "head": heads, "chunk": chunks},
        name="gated_linear_attention_scores_rows",
        interpret=interpret,
    )(q, k, gates)


def _scores_kernel(on, scale, heads, chunks, width, q_ref, k_ref, gates_ref, *out_refs):
    b, h, n = (lax.axis_index(axis) for axis in ("batch", "head", "chunk"))
    place = (b, pl.ds(n * CHUNK, CHUNK), h)
    program = (b * heads + h) * chunks + n

    def scoped(q_s, k_s, gates_s, high_s, low_s, scores_s, barrier):
        unit.load(
            (q_ref.at[place], q_s), (k_ref.at[place], k_s), (gates_ref.at[program], gates_s),
            barrier=barrier,
        )  # fmt: skip
        plgpu.barrier_wait(barrier)
        near = on.product((q_s, Operand(k_s, transposed=True)))
        scores_s[...] = (scale * near * _weights(on, gates_s, high_s, low_s)).astype(LOW)
        before, after = _ends(on, gates_s)
        for first in range(0, width, CHUNK):
            for ref, decay in ((q_s, scale * before), (k_s, after)):
                part = ref.at[:, pl.ds(first, CHUNK)]
                part[...] = (part[...].astype(jnp.float32) * decay).astype(LOW)
        scores_ref, q_out_ref, k_out_ref = out_refs
        unit.store(
            (scores_s, scores_ref.at[program]), (q_s, q_out_ref.at[place]),
            (k_s, k_out_ref.at[place]),
        )  # fmt: skip

    pl.run_scoped(
        scoped,
        unit.tile(CHUNK, width),
        unit.tile(CHUNK, width),
        plgpu.SMEM((CHUNK,), jnp.float32),
        *(unit.tile(CHUNK, CHUNK),) * 3,
        plgpu.Barrier(num_arrivals=3),
    )


def gradients(
    *arrays: jax.Array, scale: float, interpret: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`mosaic_gpu_gradients.gradients` of log decays [B H N, C], its arrays in their order."""
    scratch = [unit.tile(CHUNK, CHUNK)] * 3
    dq, dk, parts = mosaic_gpu_gradients.gradients(
        _inside, scratch, *arrays, scale=scale, interpret=interpret
    )
    return dq, dk, parts.sum(1)


def _inside(on, scale, both_s, gates_s, whole_s, sums, high_s, low_s, pairs_s):
    """Leaves dq and dk where q and k were, and this slice's gradient of the gates in `gates_s`."""
    (q_s, k_s), (d_scores, dq, dk, whole) = unit.tiles(both_s), sums
    row, column = on.indices()
    weights = scale * d_scores * _weights(on, gates_s, high_s, low_s)
    pairs_s[...] = weights.astype(LOW)
    spans = weights * on.product((q_s, Operand(k_s, transposed=True)))
    high_s[...] = spans.astype(LOW)
    plgpu.commit_smem()
    later = on.product((on.through(backwards=True), high_s))
    d_gates = jnp.where(column < row, later, 0.0).sum(1)

    before, after = _ends(on, gates_s)
    dq, dk = scale * dq * before, dk * after
    whole_s[...] = whole * on.vector(whole_s[...], ROWS)
    d_gates += _lying(on, whole_s).sum(1)
    whole_s[...] = (q_s[...].astype(jnp.float32) * dq).sum(1)
    d_gates += jnp.where(column >= row, _lying(on, whole_s), 0.0).sum(1)
    whole_s[...] = (k_s[...].astype(jnp.float32) * dk).sum(1)
    d_gates += jnp.where(column < row, _lying(on, whole_s), 0.0).sum(1)
    gates_s[...] = d_gates

    dq += on.product((pairs_s, k_s))
    dk += on.product((Operand(pairs_s, transposed=True), q_s))
    q_s[...], k_s[...] = dq.astype(LOW), dk.astype(LOW)


def _weights(on: Unit, gates_s: Any, high_s: Any, low_s: Any) -> jax.Array:
    """Decay from row j to row i for j <= i, else zero [C, C]; each a plain sum of log decays."""
    row, column = on.indices()
    upright = lax.broadcast_in_dim(on.vector(gates_s[...], ROWS), (CHUNK, CHUNK), (0,))
    unit.split(jnp.where(row > column, upright, 0.0), high_s, low_s)
    through = on.through()
    spans = on.product((through, high_s), (through, low_s))
    return jnp.where(column <= row, jnp.exp(spans), 0.0)


def _ends(on: Unit, gates_s: Any) -> tuple[jax.Array, jax.Array]:
    """Decay from the chunk's start through each row, and from behind it to the end [C, C]."""
    row, column = on.indices()
    gates = jnp.maximum(_lying(on, gates_s), NEVER)
    inside = (column <= row, column > row)
    sums = (jnp.where(those, gates, 0.0).sum(1) for those in inside)
    before, after = (lax.broadcast_in_dim(jnp.exp(one), gates.shape, (0,)) for one in sums)
    return before, after


def _lying(on: Unit, values_s: Any) -> jax.Array:
    """A vector's numbers, one for each column [C, C]."""
    return lax.broadcast_in_dim(on.vector(values_s[...], COLUMNS), (CHUNK, CHUNK), (1,))
