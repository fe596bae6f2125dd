"""Bytes that say which weights of a layer stay. Nothing here loads jax."""

from __future__ import annotations

import math

INT32 = 4


def of_n_of_m(stay: int, m: int) -> int:
    """ceil(log2 M) bits for each weight that stays.

    Args:
        stay: weights.
        m: of so many in a row N stay.
    """
    return math.ceil(stay * math.ceil(math.log2(m)) / 8)


def of_blocks(stay: int, size: int) -> int:
    """A row and a column for each block, four bytes both.

    Args:
        stay: weights.
        size: rows and columns of a block.
    """
    return 2 * INT32 * math.ceil(stay / size**2)


def of_single_weights(stay: int, outputs: int) -> int:
    """XNNPACK's: a step to the next input for each weight, a count for each output channel.

    Args:
        stay: weights.
        outputs: channels.
    """
    return INT32 * (stay + outputs)
