"""What happens inside one chunk on a TPU, for every kind of gate, without a factor above one.

A pair of rows i > j needs exp(g_{j+1} + ... + g_i) in each channel. Two rows first part at the
highest bit in which i and j differ: there a boundary between two aligned blocks of h = 1, 2, 4, ...
rows lies between them, and the exponent is the sum from the boundary through i plus the sum from
behind j to the boundary. So each h gives one product of matrices around its own boundaries,
log2(C) in all (secondary chunking, Yang et al. 2023, section 4.3, taken down to single rows). Every
exponent is a plain sum of log decays, never a difference of two running sums: no gate is too
strong, nothing cancels, and the gradient of the gates is the same sums run backwards. A gate of one
number per row needs no levels: its decays between rows are a matrix of weights.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.gated_linear_attention.mosaic_gates import CHANNEL, NEVER

NN, NT, TN = ((1,), (0,)), ((1,), (1,)), ((0,), (0,))
"""Which axes of two matrices a product sums over: a b, a b^T, a^T b."""


class Level(NamedTuple):
    """Pairs of rows that one product of matrices serves.

    Args:
        weights: [C, C], zero for pairs of other levels and for j > i.
        decay: of each row from or to its boundary [C, K]; one when None.
    """

    weights: jax.Array
    decay: jax.Array | None


class Gates(NamedTuple):
    """The decays of one chunk.

    Args:
        before: from the chunk's start through each row [C, K or 1]; one when None.
        after: from behind each row to the chunk's end [C, K or 1].
        whole: of the chunk [1, K or 1].
        levels: of the pairs of rows.
    """

    before: jax.Array | None
    after: jax.Array | None
    whole: jax.Array | None
    levels: tuple[Level, ...]


def read(gates_ref: jax.Ref | None, kind: str, chunk: int) -> Gates:
    """The decays of a chunk of C rows, from log decays [C, K] (CHANNEL) or [1, C] (ROW)."""
    if gates_ref is None:
        return Gates(None, None, None, (Level(_one(_ordered(chunk)), None),))
    log_decay = jnp.maximum(gates_ref[...].astype(jnp.float32), NEVER)
    return _of_channels(log_decay) if kind == CHANNEL else _of_rows(log_decay)


def _of_channels(log_decay: jax.Array) -> Gates:
    through, beyond, total = log_decay, jnp.zeros_like(log_decay), log_decay
    row, column = _rows_and_columns(log_decay.shape[0])
    levels = [Level(_one(row == column), None)]
    for half in _halves(log_decay.shape[0]):
        second = _second(log_decay.shape, half)
        parted = ((row ^ column) >= half) & ((row ^ column) < 2 * half) & (row > column)
        levels.append(Level(_one(parted), jnp.exp(jnp.where(second, through, beyond))))
        other = _neighbour(total, half)
        through += jnp.where(second, other, 0.0)
        beyond += jnp.where(second, 0.0, other)
        total += other
    return Gates(jnp.exp(through), jnp.exp(beyond), jnp.exp(total[:1]), tuple(levels))


def _of_rows(log_decay: jax.Array) -> Gates:
    row, column = _rows_and_columns(log_decay.shape[1])
    ordered = column <= row
    upright = jnp.sum(jnp.where(row == column, log_decay, 0.0), axis=1, keepdims=True)
    through = jnp.sum(jnp.where(ordered, log_decay, 0.0), axis=1, keepdims=True)
    beyond = jnp.sum(jnp.where(ordered, 0.0, log_decay), axis=1, keepdims=True)
    spans = dot(_one(ordered), jnp.where(row > column, upright, 0.0), NN)
    weights = jnp.where(ordered, jnp.exp(jnp.where(ordered, spans, 0.0)), 0.0)
    whole = jnp.exp(jnp.sum(log_decay, axis=1, keepdims=True))
    return Gates(jnp.exp(through), jnp.exp(beyond), whole, (Level(weights, None),))


def scores(q: jax.Array, k: jax.Array, gates: Gates, dtype: jnp.dtype) -> jax.Array:
    """A_ij = sum_d q_id k_jd decay_ijd for j <= i, else zero [C, C]."""
    found = jnp.zeros((q.shape[0],) * 2, jnp.float32)
    for weights, decay in gates.levels:
        near = dot(times(q, decay).astype(dtype), times(k, decay).astype(dtype), NT)
        found += weights * near
    return found


class Gradients(NamedTuple):
    """Of the scores, given the gradient of A.

    Args:
        scores: A again [C, C].
        q, k: gradients [C, K].
        exponents: of what each level exponentiates: [C, K] for its rows, or [C, C] for its pairs.
    """

    scores: jax.Array
    q: jax.Array
    k: jax.Array
    exponents: list[jax.Array]


def score_gradients(
    q: jax.Array, k: jax.Array, d_scores: jax.Array, gates: Gates, dtype: jnp.dtype
) -> Gradients:
    """The scores and what their gradient `d_scores` [C, C] gives to q, k and the gates."""
    found, dq, dk = jnp.zeros_like(d_scores), jnp.zeros_like(q), jnp.zeros_like(k)
    exponents = []
    for weights, decay in gates.levels:
        q_near, k_near = times(q, decay).astype(dtype), times(k, decay).astype(dtype)
        near = weights * dot(q_near, k_near, NT)
        d_near = (weights * d_scores).astype(dtype)
        dq_near = times(dot(d_near, k_near, NN), decay)
        dk_near = times(dot(d_near, q_near, TN), decay)
        exponents.append(near * d_scores if decay is None else q * dq_near + k * dk_near)
        found, dq, dk = found + near, dq + dq_near, dk + dk_near
    return Gradients(found, dq, dk, exponents)


def gate_gradients(
    before: jax.Array, after: jax.Array, whole: jax.Array, exponents: list[jax.Array], kind: str
) -> jax.Array:
    """Gradient of the log decays, in their layout: the sums of `read`, backwards.

    Args:
        before, after: gradients of the exponents of `Gates.before` and `Gates.after` [C, K].
        whole: of `Gates.whole` [1, K].
        exponents: of the levels, as in `Gradients`.
        kind: CHANNEL or ROW.
    """
    if kind == CHANNEL:
        return _to_channels(before, after, whole, exponents[1:])
    row, column = _rows_and_columns(before.shape[0])
    later = dot(_one(row <= column), exponents[0], NN)  # over rows i >= t, for each t and j
    spans = jnp.sum(jnp.where(column < row, later, 0.0), axis=1, keepdims=True)
    before, after = (jnp.sum(array, axis=1, keepdims=True) for array in (before, after))
    spans = jnp.sum(jnp.where(row == column, spans, 0.0), axis=0, keepdims=True)
    through = jnp.sum(jnp.where(row >= column, before, 0.0), axis=0, keepdims=True)
    beyond = jnp.sum(jnp.where(row < column, after, 0.0), axis=0, keepdims=True)
    return spans + through + beyond + jnp.sum(whole, axis=1, keepdims=True)


def _to_channels(
    through: jax.Array, beyond: jax.Array, whole: jax.Array, exponents: list[jax.Array]
) -> jax.Array:
    first = lax.broadcasted_iota(jnp.int32, through.shape, 0) == 0
    total = jnp.where(first, whole, 0.0)
    halves = _halves(through.shape[0])
    for half, exponent in zip(reversed(halves), reversed(exponents), strict=True):
        second = _second(through.shape, half)
        total += _neighbour(jnp.where(second, through, beyond) + total, half)
        through += jnp.where(second, exponent, 0.0)
        beyond += jnp.where(second, 0.0, exponent)
    return through + total


def times(values: jax.Array, decay: jax.Array | None) -> jax.Array:
    """values * decay, where there is one."""
    return values if decay is None else values * decay


def decayed(state: jax.Array, gates: Gates) -> jax.Array:
    """A state [K, V] after the whole chunk, without what the chunk writes."""
    return state if gates.whole is None else gates.whole.T * state


def dot(a: jax.Array, b: jax.Array, axes: tuple[tuple[int], tuple[int]]) -> jax.Array:
    """A product accumulated in float32; of float32 operands it is a float32 product."""
    exact = lax.Precision.HIGHEST if a.dtype == jnp.float32 else lax.Precision.DEFAULT
    return lax.dot_general(
        a, b, (axes, ((), ())), precision=exact, preferred_element_type=jnp.float32
    )


def _halves(chunk: int) -> list[int]:
    """h = 1, 2, 4, ..., C / 2."""
    return [1 << bit for bit in range(chunk.bit_length() - 1)]


def _second(shape: tuple[int, ...], half: int) -> jax.Array:
    """Whether a row lies in the second of two blocks of `half` rows."""
    return (lax.broadcasted_iota(jnp.int32, shape, 0) & half) != 0


def _neighbour(values: jax.Array, half: int) -> jax.Array:
    """For each row the one `half` away in the other of two blocks."""
    rows = values.shape[0]
    back, ahead = pltpu.roll(values, half, 0), pltpu.roll(values, rows - half, 0)
    return jnp.where(_second(values.shape, half), back, ahead)


def _ordered(chunk: int) -> jax.Array:
    row, column = _rows_and_columns(chunk)
    return column <= row


def _rows_and_columns(chunk: int) -> tuple[jax.Array, jax.Array]:
    square = (chunk, chunk)
    row, column = (lax.broadcasted_iota(jnp.int32, square, axis) for axis in (0, 1))
    return row, column


def _one(mask: jax.Array) -> jax.Array:
    """1.0 where true, else 0.0."""
    return mask.astype(jnp.float32)
