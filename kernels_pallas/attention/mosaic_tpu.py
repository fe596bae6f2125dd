"""Attention on TPU by jax's own kernel, splash attention, which skips blocks that no row sees.

It has its gradient with it. Its products of float32 are rounded to bfloat16, so it takes bfloat16.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from kernels_pallas import manual, tuning
from kernels_pallas.attention.reference import Segments

LANES = 128
_NOWHERE = -(2**31)


def unfit(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None,
    segments: Segments | None,
    *,
    causal: bool,
    window: int | None,
    interpret: bool = False,
) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    if q.dtype != jnp.bfloat16 and not interpret:
        return f"the kernel takes bfloat16, not {q.dtype}"
    if bias is not None:
        return "the kernel takes no bias"
    if manual.checked():
        return "jax's kernel runs inside shard_map with check_vma=False alone"
    if segments is not None and segments[0] is not segments[1]:
        return "the kernel takes one array of segments for queries and keys, not two"
    if window is not None and q.shape[1] > k.shape[1]:
        return "the kernel takes a window only where there are as many keys as queries"
    return ""


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None = None,
    segments: Segments | None = None,
    *,
    causal: bool,
    window: int | None,
    scale: float,
    interpret: bool = False,
) -> jax.Array:
    """softmax(q k^T * scale) v; arguments as in `kernels_pallas.attention.attention`."""
    from jax.experimental.pallas.ops.tpu.splash_attention import SegmentIds, make_splash_mha

    queries, keys = q.shape[1], k.shape[1]
    heads, sizes = q.shape[2], tuning.blocks("attention", "mosaic_tpu")
    rows, columns = _block(queries, sizes["rows"]), _block(keys, sizes["keys"])
    whole_rows, whole_columns = (-(-n // b) * b for n, b in ((queries, rows), (keys, columns)))
    q = (q.astype(jnp.float32) * scale).astype(q.dtype)  # in one rounding

    def heads_first(array: jax.Array, length: int) -> jax.Array:
        spare = length - array.shape[1]
        return jnp.swapaxes(jnp.pad(array, ((0, 0), (0, spare), (0, 0), (0, 0))), 1, 2)

    ids = None
    if segments is not None or (whole_columns > keys and not causal):
        # Keys that fill up a block are in a segment that no query is in.
        pair = segments or (jnp.zeros(q.shape[:2], jnp.int32), jnp.zeros(k.shape[:2], jnp.int32))
        lengths = (whole_rows, whole_columns)
        ids = SegmentIds(
            *(
                jnp.pad(
                    a.astype(jnp.int32), ((0, 0), (0, n - a.shape[1])), constant_values=_NOWHERE
                )
                for a, n in zip(pair, lengths, strict=True)
            )
        )
    mask = _mask((whole_rows, whole_columns), keys - queries, causal, window, heads)
    kernel = make_splash_mha(
        mask, block_sizes=_sizes(rows, columns), head_shards=1, q_seq_shards=1, interpret=interpret
    )
    operands = (
        heads_first(q, whole_rows),
        heads_first(k, whole_columns),
        heads_first(v, whole_columns),
    )
    out: jax.Array = jax.vmap(kernel)(*operands, ids)
    return jnp.swapaxes(out, 1, 2)[:, :queries]


def _block(length: int, most: int) -> int:
    return min(most, -(-length // LANES) * LANES)


def _sizes(rows: int, keys: int) -> Any:
    from jax.experimental.pallas.ops.tpu.splash_attention import BlockSizes

    return BlockSizes(
        block_q=rows,
        block_kv=keys,
        block_q_dkv=rows,
        block_kv_dkv=keys,
        block_q_dq=rows,
        block_kv_dq=keys,
    )


def _mask(shape: tuple[int, int], offset: int, causal: bool, window: int | None, heads: int) -> Any:
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        CausalMask,
        FullMask,
        LocalMask,
        MultiHeadMask,
    )

    if window is not None:
        sides = (window - 1, 0 if causal else window - 1)
        one: Any = LocalMask(shape, sides, offset)
    elif causal:
        one = CausalMask(shape, offset)
    else:
        one = FullMask(shape)
    return MultiHeadMask([one] * heads)
