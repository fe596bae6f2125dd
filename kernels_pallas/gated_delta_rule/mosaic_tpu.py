"""The gated delta rule for TPU: one kernel walks the chunks of a head, its state in VMEM."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.gated_delta_rule import cost
from kernels_pallas.gated_delta_rule.inputs import OP_NAME
from kernels_pallas.gated_delta_rule.mosaic_tpu_backward import backward
from kernels_pallas.gated_delta_rule.mosaic_tpu_chunk import Chunk
from kernels_pallas.gated_linear_attention import mosaic_gates, mosaic_tpu
from kernels_pallas.gated_linear_attention import mosaic_tpu_blocks as blocks
from kernels_pallas.gated_linear_attention.mosaic_tpu_chunk import NN, TN, decayed, times

__all__ = ["backward", "forward", "unfit"]

MOST_STATE = 1 << 17
"""Numbers of the largest state K V whose blocks fit 16 MiB of VMEM, in the backward pass."""


def unfit(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None,
    segments: jax.Array | None,
    *,
    chunk_size: int,
) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    width, values = q.shape[-1], v.shape[-1]
    if width * values > MOST_STATE:
        return (
            f"a TPU kernel takes states of at most {MOST_STATE} numbers; here a state has"
            f" {width} x {values}"
        )
    return mosaic_tpu.unfit(q, k, v, log_decay, segments, chunk_size=chunk_size)


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
    chunk_size: int,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """o = scale (q e^G) S + P u, S' = e^(G_C) S + (k e^(G_C - G))^T u, chunk by chunk.

    Args:
        q, k, v, beta, log_decay, initial_state, segments: as in `gated_delta_rule`.
        scale: multiplies q.
        chunk_size: the most tokens of a chunk.
        interpret: whether to run step by step, on any device.

    Returns:
        (o [B, T, H, V] in the dtype of q, final state [B, H, K, V] float32).
    """
    (batch, time, heads, width), values = q.shape, v.shape[-1]
    kind = mosaic_gates.gate_kind(log_decay, segments)
    chunk = blocks.chunk_of(time, chunk_size, OP_NAME)
    gates = mosaic_gates.full_gates(log_decay, segments, q.shape)
    q, k, v, beta, gates = mosaic_gates.whole_chunks((q, k, v, beta, gates), chunk)
    walk = blocks.Blocks(batch, heads, q.shape[1] // chunk, chunk)
    out, state = walk.call(
        functools.partial(_kernel, kind=kind, scale=scale),
        cost.forward(
            q.shape,
            values,
            gated=gates is not None,
            chunk=chunk,
            form="mosaic_tpu",
            size=q.dtype.itemsize,
        ),
        in_specs=[
            walk.token_spec(width),
            walk.token_spec(width),
            walk.token_spec(values),
            walk.chunk_spec(1, chunk),
            walk.gate_spec(kind, width),
            walk.head_spec(width, values),
        ],
        out_specs=[walk.token_spec(values), walk.head_spec(width, values)],
        out_shape=[
            walk.token_shape(values, q.dtype),
            jax.ShapeDtypeStruct((batch, heads, width, values), jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM((width, values), jnp.float32)],
        interpret=interpret,
        name="gated_delta_rule_forward",
    )(
        *(walk.tokens(array) for array in (q, k, v)),
        walk.rows(beta),
        walk.gates(gates, kind),
        initial_state,
    )
    return walk.of_tokens(out, values)[:, :time], state


def _kernel(
    q_ref, k_ref, v_ref, beta_ref, gates_ref, initial_ref, out_ref, final_ref, state_ref,
    *, kind, scale,
):  # fmt: skip
    @pl.when(pl.program_id(2) == 0)
    def _():
        state_ref[...] = initial_ref[...]

    q, state = q_ref[...].astype(jnp.float32), state_ref[...]
    at = Chunk.of(k_ref, v_ref, beta_ref, gates_ref, kind)
    inverse = at.inverse(at.overlaps())
    change = at.solve(inverse, at.beta * at.missing(state), NN)
    out = at.product(times(q, at.gates.before), state, NN)
    out += at.product(at.scores(q), change, NN)
    out_ref[...] = (scale * out).astype(out_ref.dtype)
    state_ref[...] = decayed(state, at.gates) + at.product(times(at.k, at.gates.after), change, TN)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        final_ref[...] = state_ref[...]
