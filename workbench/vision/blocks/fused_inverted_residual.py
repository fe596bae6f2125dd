"""EfficientNetV2's Fused-MBConv (Tan & Le 2021, section 3.2)."""

from __future__ import annotations

from typing import Literal

from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.vision.blocks.row import Block, Row
from workbench.vision.drop_path import drop_path
from workbench.vision.making import Making, rounded


class FusedInvertedResidualRow(Row):
    """A dense spatial convolution to more channels, then 1 x 1 back; a batch norm after each.

    Args:
        expansion: expanded channels over input channels.
    """

    kind: Literal["fused_inverted_residual"] = "fused_inverted_residual"
    expansion: float = Field(4.0, gt=0)

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""
        return FusedInvertedResidual(self, inputs, stride, making, drop_rate)


class FusedInvertedResidual(Block):
    """As its row says; no activation at the end, and the input added where the shapes agree."""

    folds = (("conv_exp", "bn1"), ("conv_pwl", "bn2"))

    def __init__(
        self, row: FusedInvertedResidualRow, inputs: int, stride: int, making: Making, drop: float
    ):
        wide = rounded(inputs * row.expansion)
        self.conv_exp = making.conv(inputs, wide, row.kernel, stride=stride)
        self.bn1 = making.batch_norm(wide)
        self.conv_pwl = making.conv(wide, row.channels)
        self.bn2 = making.batch_norm(row.channels)
        self.act, self.drop = making.act(row.activation), drop
        self.skips = stride == 1 and inputs == row.channels

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result."""
        y = self.act(self.bn1(self.conv_exp(x), training))
        y = self.bn2(self.conv_pwl(y), training)
        return x + drop_path(y, self.drop, training) if self.skips else y
