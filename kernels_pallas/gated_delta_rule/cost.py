"""What the gated delta rule costs, as formulas of its shapes: per token and head

    forward   2 C (K + V) + 3 K V + inverse + sums
    backward  C (7 K + 6 V) + 10 K V + inverse + sums

multiply-accumulates, with C tokens in a chunk; sums are those of log gates, C^2 each time they are
taken. The inverse is that of the triangular system of a chunk.
"""

from __future__ import annotations

from kernels_pallas.gated_delta_rule.inverse import DIRECT


def inverse(chunk: int, whole: bool = False) -> int:
    """MACs of a chunk's inverse for each of its tokens.

    Args:
        chunk: its tokens C.
        whole: whether every level is a product of whole matrices, as on a TPU.
    """
    block = chunk if whole else min(DIRECT, chunk)
    macs = 2 * (block.bit_length() - 2) * block * block
    while block < chunk:
        macs, block = macs + block * block, 2 * block
    return macs


def per_token(chunk: int, key_width: int, value_width: int) -> int:
    """Products of the forward pass for one token of one head: those that any form has."""
    state = key_width * value_width
    chunk = 1 << (chunk - 1).bit_length() if chunk > 1 else 2
    return 2 * chunk * (key_width + value_width) + 3 * state + inverse(chunk)
