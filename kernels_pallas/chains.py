"""Costs of layers that run one after the other, and of the same layers as one op.

One after the other, each layer reads its input and writes its result through memory; as one op,
the first input, the last result and all weights move, and what lies between stays on the chip
(Lavin 2024, block fusion; the accounting is ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernels_pallas.costs import Cost


class Layer(NamedTuple):
    """One layer.

    Args:
        macs: multiply-accumulates.
        inputs, outputs, weights: elements.
        activated: elements of its result that pass an activation.
    """

    macs: int
    inputs: int
    outputs: int
    weights: int
    activated: int = 0


def serial(layers: Sequence[Layer], *, residual: bool, itemsize: int) -> Cost:
    """Each tensor through memory; with a residual the block's input is read once more.

    Args:
        layers: in their order.
        residual: whether the input is added to the result.
        itemsize: bytes of one element.
    """
    moved = sum(one.inputs + one.outputs + one.weights for one in layers)
    return _cost(layers, moved + (layers[0].inputs if residual else 0), itemsize)


def fused(layers: Sequence[Layer], *, itemsize: int) -> Cost:
    """The first input, the last result and the weights alone.

    Args:
        layers, itemsize: as in `serial`.
    """
    weights = sum(one.weights for one in layers)
    return _cost(layers, layers[0].inputs + layers[-1].outputs + weights, itemsize)


def _cost(layers: Sequence[Layer], elements: int, itemsize: int) -> Cost:
    activated = sum(one.activated for one in layers)
    return Cost(sum(one.macs for one in layers), elements * itemsize, activated)
