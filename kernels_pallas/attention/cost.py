"""What attention costs, as formulas of its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class AttentionCost(NamedTuple):
    """Arithmetic and traffic of one call."""

    macs: int
    """Multiply-accumulates of the two products."""
    bytes_moved: int
    """Bytes of inputs read once and output written once: the least possible traffic."""
    score_bytes: int
    """Bytes of all scores in float32, held only by a form that keeps them."""


def cost(
    q_shape: Sequence[int],
    k_shape: Sequence[int],
    v_shape: Sequence[int],
    *,
    itemsize: int = 4,
    causal: bool = False,
) -> AttentionCost:
    """MACs = B H P (D + E), P the score pairs computed.

    Args:
        q_shape: [B, T, H, D].
        k_shape: [B, S, K, D].
        v_shape: [B, S, K, E].
        itemsize: bytes of one element.
        causal: count only the pairs a causal mask leaves. The XLA form computes all T*S of them.
    """
    batch, t, heads, width = q_shape
    s, kv_heads, out_width = k_shape[1], k_shape[2], v_shape[3]
    pairs = t * s - t * (t - 1) // 2 if causal else t * s
    moved = (
        batch * (t * heads * (width + out_width) + s * kv_heads * (width + out_width)) * itemsize
    )
    return AttentionCost(
        batch * heads * pairs * (width + out_width), moved, 4 * batch * heads * t * s
    )
