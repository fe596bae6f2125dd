"""A plain convolution, its batch norm and an activation."""

from __future__ import annotations

from typing import Literal

from flax import nnx
from jaxtyping import Array, Float

from workbench.vision.blocks.row import Block, Row
from workbench.vision.drop_path import drop_path
from workbench.vision.making import Making


class ConvNormRow(Row):
    """act(BN(conv(x))), with x added where `skip` is set and the shapes agree."""

    kind: Literal["conv_norm"] = "conv_norm"
    skip: bool = False

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""
        return ConvNorm(self, inputs, stride, making, drop_rate)


class ConvNorm(Block):
    """As its row says."""

    folds = (("conv", "bn1"),)

    def __init__(self, row: ConvNormRow, inputs: int, stride: int, making: Making, drop: float):
        self.conv = making.conv(inputs, row.channels, row.kernel, stride=stride)
        self.bn1 = making.batch_norm(row.channels)
        self.act, self.drop = making.act(row.activation), drop
        self.skips = row.skip and stride == 1 and inputs == row.channels

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result."""
        y = self.act(self.bn1(self.conv(x), training))
        return x + drop_path(y, self.drop, training) if self.skips else y
