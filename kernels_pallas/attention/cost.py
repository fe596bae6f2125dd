"""What attention costs, as formulas of its shapes."""

from __future__ import annotations

from collections.abc import Sequence

from kernels_pallas.attention.tiles import Tiles, stripes
from kernels_pallas.costs import Cost


def cost(
    q_shape: Sequence[int],
    k_shape: Sequence[int],
    v_shape: Sequence[int],
    *,
    itemsize: int = 4,
    causal: bool = False,
    window: int | None = None,
    pairs: int | None = None,
    backward: bool = False,
) -> Cost:
    """MACs = B H P (D + E) forward and B H P (3 D + 2 E) backward, for P pairs; one exp a pair.

    Bytes are those of arrays read or written once: q, k, v and the result, and for the backward
    pass also their gradients and each row's sum.

    Args:
        q_shape: [B, T, H, D].
        k_shape: [B, S, K, D].
        v_shape: [B, S, K, E].
        itemsize: bytes of one element.
        causal, window: as in `attention`.
        pairs: pairs of query and key for which a form makes scores; those that are seen when None.
        backward: the cost of the backward pass, in which scores are made again.
    """
    batch, queries, heads, width = q_shape
    keys, kv_heads, out_width = k_shape[1], k_shape[2], v_shape[3]
    if pairs is None:
        pairs = seen_pairs(queries, keys, causal, window)
    once = batch * (queries * heads + keys * kv_heads) * (width + out_width) * itemsize
    each = 3 * width + 2 * out_width if backward else width + out_width
    moved = 2 * once + 4 * batch * heads * queries if backward else once
    return Cost(batch * heads * pairs * each, moved, batch * heads * pairs)


def seen_pairs(queries: int, keys: int, causal: bool, window: int | None) -> int:
    """Pairs of query and key that masks by position leave, of one head."""
    offset, reach = keys - queries, window or queries + keys
    if not causal and window is None:
        return queries * keys
    total = 0
    for position in range(offset, keys):
        last = min(keys - 1, position if causal else position + reach - 1)
        total += max(0, last - max(0, position - reach + 1) + 1)
    return total


def tiled_pairs(cut: Tiles, queries: int, keys: int) -> int:
    """Pairs for which the XLA form makes scores when it goes by tiles, of one head."""
    return sum(one.blocks * cut.rows * one.keys for one in stripes(cut, queries, keys))
