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


def cost(layers: Sequence[Layer], *, fused: bool, residual: bool, itemsize: int) -> Cost:
    """Of a chain as one op, or with each tensor through memory.

    Args:
        layers: in their order.
        fused: whether they are one op.
        residual: whether the first input is added to the result, which reads it once more where
            they are not.
        itemsize: bytes of one element.
    """
    first, last = layers[0].inputs, layers[-1].outputs
    elements = sum(one.weights for one in layers)
    if fused:
        elements += first + last
    else:
        elements += sum(one.inputs + one.outputs for one in layers) + (first if residual else 0)
    activated = sum(one.activated for one in layers)
    return Cost(sum(one.macs for one in layers), elements * itemsize, activated)
