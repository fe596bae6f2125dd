"""How the arrays of a call are cut into blocks for a TPU: one chunk of one head at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import dispatch, mosaic, tuning
from kernels_pallas.costs import Cost
from kernels_pallas.gated_linear_attention.mosaic_gates import CHANNEL, NONE, SCHEMES

LANES = 128
FEWEST = 16
"""Rows of the smallest chunk: a tile of bfloat16."""


class Blocks(NamedTuple):
    """Walk over the chunks of every head; the grid is (batch, heads, chunks).

    Args:
        batch, heads: sizes of the grid.
        chunks: in a sequence.
        chunk: tokens of a chunk.
        backwards: whether the last chunk comes first.
    """

    batch: int
    heads: int
    chunks: int
    chunk: int
    backwards: bool = False

    def place(self, n: jax.Array) -> jax.Array:
        """Which chunk the walk is at in its step n."""
        return self.chunks - 1 - n if self.backwards else n

    def tokens(self, array: jax.Array) -> jax.Array:
        """[B, T, H, W] in the layout that `token_spec` cuts.

        Lanes of whole tiles are cut out of [B, T, H W] where they lie; other widths need time and
        width as the last two axes.
        """
        if array.shape[-1] % LANES == 0:
            return array.reshape(*array.shape[:2], -1)
        return array.swapaxes(1, 2)

    def token_shape(self, width: int, dtype: jnp.dtype) -> jax.ShapeDtypeStruct:
        """Shape of `tokens` for an output."""
        time = self.chunks * self.chunk
        if width % LANES == 0:
            return jax.ShapeDtypeStruct((self.batch, time, self.heads * width), dtype)
        return jax.ShapeDtypeStruct((self.batch, self.heads, time, width), dtype)

    def token_spec(self, width: int) -> pl.BlockSpec:
        """A chunk of one head [C, W]."""
        if width % LANES == 0:
            return pl.BlockSpec((None, self.chunk, width), lambda b, h, n: (b, self.place(n), h))
        return pl.BlockSpec(
            (None, None, self.chunk, width), lambda b, h, n: (b, h, self.place(n), 0)
        )

    def of_tokens(self, array: jax.Array, width: int) -> jax.Array:
        """[B, T, H, W] again."""
        if width % LANES == 0:
            return array.reshape(*array.shape[:2], self.heads, width)
        return array.swapaxes(1, 2)

    def rows(self, array: jax.Array) -> jax.Array:
        """[B, T, H] as rows of one chunk each [B, H, N, 1, C]."""
        return array.swapaxes(1, 2).reshape(self.batch, self.heads, self.chunks, 1, self.chunk)

    def head_spec(self, *shape: int) -> pl.BlockSpec:
        """All that belongs to one head, of an array [B, H, *shape]."""
        return pl.BlockSpec((None, None, *shape), lambda b, h, n: (b, h, 0, 0))

    def chunk_spec(self, *shape: int) -> pl.BlockSpec:
        """All that belongs to one chunk, of an array [B, H, N, *shape]."""
        return pl.BlockSpec((None, None, None, *shape), lambda b, h, n: (b, h, self.place(n), 0, 0))

    def chunk_shape(self, *shape_and_dtype: Any) -> jax.ShapeDtypeStruct:
        """Shape of an output [B, H, N, *shape]."""
        *shape, dtype = shape_and_dtype
        return jax.ShapeDtypeStruct((self.batch, self.heads, self.chunks, *shape), dtype)

    def gates(self, log_decay: jax.Array | None, kind: str) -> jax.Array | None:
        """The gates in the layout that `gate_spec` cuts."""
        if log_decay is None:
            return None
        return self.tokens(log_decay) if kind == CHANNEL else self.rows(log_decay)

    def gate_spec(self, kind: str, width: int) -> pl.BlockSpec | None:
        """The log decays of one chunk: [C, K] for a gate per channel, [1, C] for one per row."""
        if kind == NONE:
            return None
        return self.token_spec(width) if kind == CHANNEL else self.chunk_spec(1, self.chunk)

    def gate_shape(self, kind: str, width: int) -> jax.ShapeDtypeStruct | None:
        """Shape of the gates' gradient, float32."""
        if kind == NONE:
            return None
        if kind == CHANNEL:
            return self.token_shape(width, jnp.dtype(jnp.float32))
        return self.chunk_shape(1, self.chunk, jnp.float32)

    def of_gates(self, array: jax.Array | None, kind: str, width: int) -> jax.Array | None:
        """[B, T, H, K] or [B, T, H] again."""
        if array is None or kind == CHANNEL:
            return None if array is None else self.of_tokens(array, width)
        return array.reshape(self.batch, self.heads, -1).swapaxes(1, 2)

    def cost(self, of: Callable[..., Cost], kind: str, q: jax.Array, v: jax.Array) -> Cost:
        """What one of the functions in `cost` says of this walk."""
        scheme, size = SCHEMES[kind], q.dtype.itemsize
        return of(q.shape, v.shape[-1], scheme=scheme, chunk=self.chunk, size=size)

    def call(self, kernel: Callable, cost: Cost, **options: Any) -> Callable:
        """`pallas_call` with this grid; heads are independent, chunks follow each other."""
        return mosaic.call(
            kernel,
            grid=(self.batch, self.heads, self.chunks),
            cost_estimate=cost.estimate(),
            compiler_params=pltpu.CompilerParams(
                dimension_semantics=("parallel", "parallel", "arbitrary")
            ),
            **options,
        )


def chunk_of(tokens: int, chunk_size: int, op: str = "gated_linear_attention") -> int:
    """Tokens of a chunk: what was asked, at most what is tuned, and no more than there are."""
    most = tuning.blocks(op, "mosaic_tpu", dispatch.current_target().kind)
    return min(chunk_size, most["chunk"], max(FEWEST, 1 << (tokens - 1).bit_length()))
