"""Sequences as chunks and back, and one chunk as the loops of the XLA form see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas.dtypes import accumulator
from kernels_pallas.gated_linear_attention.sums import Product, lower, product_for

CHUNK = 32
"""The most tokens of a chunk; the fastest of 16, 32 and 64 on CPUs with AVX2 and AVX-512."""


class Rows(NamedTuple):
    """Arrays of whole chunks, of which a loop slices one a round where they lie.

    Args:
        q, k, v: [B, N C, H, D].
        gates: [B, N C, H, K], [B, N C, H, 1] for one gate of all channels, or None.
        segments: [B, N C] or None.
        before: [B, N C], the segment of the token before; None without segments.
    """

    q: jax.Array
    k: jax.Array
    v: jax.Array
    gates: jax.Array | None
    segments: jax.Array | None
    before: jax.Array | None


class Chunk(NamedTuple):
    """One chunk, heads to the front (n = B H) and wide, its decays masked by segment.

    Args:
        q, k, v: [n, C, D]; q is scaled.
        scheme: the scores of the chunk and their gradients.
        visible: [1 or n, C, C], which key a query sees.
        read: e^G, from the state that enters to each token.
        write: e^(G_C - G), from each token to the state that leaves.
        carry: e^(G_C), [n, K, 1], from one state to the next.
    """

    q: jax.Array
    k: jax.Array
    v: jax.Array
    scheme: Any
    visible: jax.Array
    read: jax.Array
    write: jax.Array
    carry: jax.Array


@dataclass(frozen=True)
class Layout:
    """How a call's arrays lie, and how its chunks are computed.

    Args:
        time, heads: T and H.
        chunk: tokens of a chunk.
        scale: multiplies q.
        narrow, wide: dtypes of the inputs and of the arithmetic.
    """

    time: int
    heads: int
    chunk: int
    scale: float
    narrow: Any
    wide: Any

    @classmethod
    def of(cls, q: jax.Array, chunk_size: int, scale: float) -> Layout:
        """The layout for queries [B, T, H, K] and chunks of at most `chunk_size`."""
        _, time, heads, _ = q.shape
        chunk = min(chunk_size, CHUNK, 16 if time <= 16 else CHUNK)
        return cls(time, heads, chunk, scale, q.dtype, accumulator(q.dtype))

    @property
    def product(self) -> Product:
        """The einsum for these dtypes."""
        return product_for(self.narrow)

    def rows(
        self,
        q: jax.Array,
        k: jax.Array,
        v: jax.Array,
        log_decay: jax.Array | None,
        segments: jax.Array | None,
    ) -> Rows:
        """The inputs in whole chunks."""
        gates = before = None
        if log_decay is not None:
            gates = log_decay[None, None] if log_decay.ndim == 1 else log_decay
            if gates.ndim == 3:
                gates = jnp.broadcast_to(gates, q.shape[:3])[..., None]
            gates = self.whole(gates)
        if segments is not None:
            segments = self.whole(segments, pad="edge")
            before = jnp.pad(segments[:, :-1], ((0, 0), (1, 0)))
        return Rows(self.whole(q), self.whole(k), self.whole(v), gates, segments, before)

    def whole(self, array: jax.Array, *, pad: str = "constant") -> jax.Array:
        """[B, T, ...] as [B, N C, ...], padded at the end."""
        spare = -array.shape[1] % self.chunk
        if spare:
            around = [(0, 0)] * array.ndim
            around[1] = (0, spare)
            array = jnp.pad(array, around, mode=pad)
        return array

    def loop(
        self, step: Callable, state: jax.Array, rows: Any, *given: Any, reverse: bool = False
    ) -> tuple[jax.Array, Any]:
        """`jax.lax.scan` over chunks: `step(state, chunk of the rows, one of each given)`.

        Args:
            step: returns the next state and what to stack by chunks.
            state: the first.
            rows: arrays [B, N C, ...], sliced where they lie: no copy by chunks is made before.
            given: arrays [N, ...].
            reverse: from the last chunk to the first.
        """

        def body(state, at):
            start, one_of_each = at
            chunk = jax.tree.map(
                lambda array: jax.lax.dynamic_slice_in_dim(array, start, self.chunk, axis=1), rows
            )
            return step(state, chunk, *one_of_each)

        starts = jnp.arange(0, self.time, self.chunk)
        return jax.lax.scan(body, state, (starts, given), reverse=reverse)

    def join(self, chunks: jax.Array) -> jax.Array:
        """[N, B, C, ...] as [B, T, ...], without the padding."""
        _, batch, _, *rest = chunks.shape
        return jnp.moveaxis(chunks, 0, 1).reshape(batch, -1, *rest)[:, : self.time]

    def heads_first(self, chunk: jax.Array) -> jax.Array:
        """[B, C, H, D] as wide [B H, C, D]."""
        _, length, _, width = chunk.shape
        return jnp.moveaxis(chunk, 2, 1).reshape(-1, length, width).astype(self.wide)

    def time_first(self, chunk: jax.Array, dtype: Any) -> jax.Array:
        """[B H, C, D] as [B, C, H, D] of a dtype."""
        _, length, width = chunk.shape
        apart = chunk.reshape(-1, self.heads, length, width)
        return jnp.moveaxis(apart, 1, 2).astype(dtype)

    def enter(self, rows: Rows, scheme: Callable) -> Chunk:
        """One chunk of `rows`, with the decays of a scheme."""
        q, k, v = (self.heads_first(array) for array in rows[:3])
        q = q * self.scale
        blocks = (k if rows.gates is None else rows.gates.astype(self.wide))[:, None]
        at = scheme(blocks, self.product)
        visible = lower(self.chunk, 0, bool)[None]
        read, write, carry = at.read, at.write, at.carry[..., None]
        if rows.segments is not None and rows.before is not None:
            here = jnp.repeat(rows.segments, self.heads, axis=0)
            entry = jnp.repeat(rows.before[:, :1], self.heads, axis=0)
            last = here[:, -1:]
            visible = visible & (here[:, :, None] == here[:, None])
            read = jnp.where((here == entry)[..., None], read, 0)
            write = jnp.where((here == last)[..., None], write, 0)
            carry = jnp.where((entry == last)[..., None], carry, 0)
        return Chunk(q, k, v, at, visible, read, write, carry)
