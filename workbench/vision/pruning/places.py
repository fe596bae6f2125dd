"""What a pruned layer costs, and bytes that say which weights stay. Nothing here loads jax."""

from __future__ import annotations

import math

from workbench.measure.cost import Cost

INT32 = 4


def cost_of(
    macs: int, bytes_moved: int, weights: int, stay: int, held: int, itemsize: int = 4
) -> Cost:
    """A layer that computes with the weights that stay and reads nothing of the others: modelled.

    Args:
        macs, bytes_moved: of the whole layer.
        weights, stay: how many it has, and how many are not zero.
        held: bytes that say where those are.
        itemsize: bytes of a weight.
    """
    moved = bytes_moved - (weights - stay) * itemsize + held
    return Cost(macs=macs * stay // weights, bytes_moved=moved, basis="modelled")


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
