"""The bottleneck of ResNet (He et al. 2016, section 4.1) and ResNeXt (Xie et al. 2017, fig. 3c)."""

from __future__ import annotations

from typing import ClassVar, Literal

from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.vision.blocks.row import Block, GroupedRow
from workbench.vision.drop_path import drop_path
from workbench.vision.making import Making
from workbench.vision.numbered import Numbered


class BottleneckRow(GroupedRow):
    """1 x 1 to `width` channels, spatial with the stride, 1 x 1 to `channels`; x added, then act.

    Args:
        width: channels of the spatial convolution.
    """

    kind: Literal["bottleneck"] = "bottleneck"
    usual: ClassVar[dict[str, int]] = {"groups": 1}
    width: int = Field(ge=1)

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""
        return Bottleneck(self, inputs, stride, making, drop_rate)


class Bottleneck(Block):
    """As its row says; x passes a 1 x 1 convolution of its own where the shapes differ."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, row: BottleneckRow, inputs: int, stride: int, making: Making, drop: float):
        width, outputs = row.width, row.channels
        groups = row.groups_of(width)
        self.conv1 = making.conv(inputs, width)
        self.bn1 = making.batch_norm(width)
        self.conv2 = making.conv(width, width, row.kernel, stride=stride, groups=groups)
        self.bn2 = making.batch_norm(width)
        self.conv3 = making.conv(width, outputs)
        self.bn3 = making.batch_norm(outputs)
        self.downsample = (
            None
            if stride == 1 and inputs == outputs
            else Numbered(making.conv(inputs, outputs, stride=stride), making.batch_norm(outputs))
        )
        self.act, self.drop = making.act(row.activation), drop

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result."""
        y = self.act(self.bn1(self.conv1(x), training))
        y = self.act(self.bn2(self.conv2(y), training))
        y = drop_path(self.bn3(self.conv3(y), training), self.drop, training)
        return self.act(y + (x if self.downsample is None else self.downsample(x, training)))
