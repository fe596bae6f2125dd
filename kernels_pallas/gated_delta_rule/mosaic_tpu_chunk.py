"""What happens inside one chunk of the delta rule on a TPU; see `chunks` for the equations."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from kernels_pallas.gated_delta_rule.inverse import masked_inverse
from kernels_pallas.gated_linear_attention.mosaic_tpu_chunk import NN, NT, Gates, dot, read, times


class Chunk(NamedTuple):
    """One chunk of C tokens in VMEM.

    Args:
        k: keys [C, K], float32.
        v: values [C, V], as given: their dtype is what products run in.
        beta: strengths [C, 1].
        gates: its decays.
        pairs: decay between tokens, zero for j > i [C, C].
        below: the same, zero on the diagonal as well.
    """

    k: jax.Array
    v: jax.Array
    beta: jax.Array
    gates: Gates
    pairs: jax.Array
    below: jax.Array

    @classmethod
    def of(
        cls,
        k_ref: jax.Ref,
        v_ref: jax.Ref,
        beta_ref: jax.Ref,
        gates_ref: jax.Ref | None,
        kind: str,
    ) -> Chunk:
        """Reads the chunk; strengths and gates lie as [1, C]."""
        k, v = k_ref[...].astype(jnp.float32), v_ref[...]
        gates = read(gates_ref, kind, k.shape[0])
        pairs = gates.levels[0].weights
        row, column = (lax.broadcasted_iota(jnp.int32, pairs.shape, axis) for axis in (0, 1))
        beta = jnp.where(row == column, beta_ref[...].astype(jnp.float32), 0.0)
        below = jnp.where(row == column, 0.0, pairs)
        return cls(k, v, jnp.sum(beta, axis=1, keepdims=True), gates, pairs, below)

    def product(self, a: jax.Array, b: jax.Array, axes: tuple[tuple[int], tuple[int]]) -> jax.Array:
        """A product of operands rounded to the dtype of the values, accumulated in float32."""
        return dot(a.astype(self.v.dtype), b.astype(self.v.dtype), axes)

    def overlaps(self) -> jax.Array:
        """M_ij = (k_i . k_j) times the decay between, for j < i, else zero [C, C]."""
        return self.below * self.product(self.k, self.k, NT)

    def inverse(self, overlap: jax.Array) -> jax.Array:
        """(I + b M)^-1 [C, C], every product in float32."""
        return masked_inverse(self.beta * overlap, lambda a, b: dot(a, b, NN))

    def solve(
        self, inverse: jax.Array, b: jax.Array, axes: tuple[tuple[int], tuple[int]]
    ) -> jax.Array:
        """The inverse, or its transpose, times b in float32: an error here is in every token."""
        return dot(inverse, b, axes)

    def missing(self, state: jax.Array) -> jax.Array:
        """What the entering state [K, V] lacks of each value [C, V]."""
        found = self.product(times(self.k, self.gates.before), state, NN)
        return self.v.astype(jnp.float32) - found

    def scores(self, q: jax.Array) -> jax.Array:
        """P_ij = (q_i . k_j) times the decay between, for j <= i, else zero [C, C]."""
        return self.pairs * self.product(q, self.k, NT)
