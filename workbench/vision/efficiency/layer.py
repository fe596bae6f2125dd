"""One layer of a network as arithmetic and traffic, for one picture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A convolution, dense layer or layer norm that is one kernel when layers run one by one.

    Batch norms are folded into the convolution before them, and activations are part of the layer
    before them: neither moves anything. What else is moved stands in `beside`.

    Args:
        name: as the network's file has it, "blocks.1.0.conv_dw".
        block: name of the block it is in; empty for stem, down-sampling and head.
        kind: "conv", "dense", "layer norm", or "gate" for the two of squeeze-and-excitation.
        macs: multiply-accumulates of one picture.
        inputs, outputs: numbers read and written of one picture.
        weights: numbers, a bias included.
        beside: numbers of one picture moved beside these: a residual that is added, a map that is
            pooled before, the map that a gate weighs.
        group_size: input channels of a group; 0 where there are none.
        height, width: pixels of its input; 0 where it has none.
        taps, stride, padding: of a convolution.
        adds: whether `beside` holds the block's input, added at its end.
    """

    name: str
    block: str
    kind: str
    macs: int
    inputs: int
    outputs: int
    weights: int
    beside: int = 0
    group_size: int = 0
    height: int = 0
    width: int = 0
    taps: int = 1
    stride: int = 1
    padding: int = 0
    adds: bool = False

    def operations(self, batch: int = 1) -> int:
        """2 · multiply-accumulates [FLOP]."""
        return 2 * self.macs * batch

    def bytes_moved(self, batch: int = 1, itemsize: int = 4) -> int:
        """Input, output, weights and what is moved beside them, once each [B]."""
        return itemsize * (batch * (self.inputs + self.outputs + self.beside) + self.weights)

    def intensity(self, batch: int = 1, itemsize: int = 4) -> float:
        """Operational intensity: FLOP for each byte."""
        return self.operations(batch) / self.bytes_moved(batch, itemsize)

    def record(self) -> list[Any]:
        """Its values in the order of `COLUMNS`."""
        return [getattr(self, name) for name in COLUMNS]


COLUMNS = tuple(field.name for field in fields(Layer))


def convolution(
    height: int,
    width: int,
    inputs: int,
    outputs: int,
    taps: int,
    *,
    stride: int = 1,
    groups: int = 1,
    name: str = "convolution",
) -> Layer:
    """A convolution by its shape, without bias, padded so that stride 1 keeps the size.

    macs = P Q K (C / g) R S,  numbers = H W C + P Q K + K (C / g) R S

    Args:
        height, width: H and W, pixels of the input.
        inputs, outputs: C and K, channels.
        taps: R = S.
        stride: H / P.
        groups: g.

    Raises:
        ValueError: groups that do not divide the channels.
    """
    for what, channels in (("input", inputs), ("output", outputs)):
        if channels % groups:
            raise ValueError(f"groups={groups} does not divide {channels} {what} channels")
    size = inputs // groups
    pixels = -(-height // stride) * -(-width // stride)
    kernel = outputs * size * taps * taps
    return Layer(
        name=name,
        block="",
        kind="conv",
        macs=pixels * kernel,
        inputs=height * width * inputs,
        outputs=pixels * outputs,
        weights=kernel,
        group_size=size,
        height=height,
        width=width,
        taps=taps,
        stride=stride,
        padding=taps // 2,
    )
