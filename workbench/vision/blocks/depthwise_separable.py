"""The depthwise-separable block of MobileNet (Howard et al. 2017, section 3.1)."""

from __future__ import annotations

from typing import ClassVar, Literal

from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.vision.blocks.row import Block, GroupedRow
from workbench.vision.drop_path import drop_path
from workbench.vision.making import Making


class DepthwiseSeparableRow(GroupedRow):
    """Spatial convolution by channel or group, then 1 x 1, each with a batch norm.

    Args:
        squeeze: share of the channels that squeeze-and-excitation keeps between both; 0 is none.
        activated: whether an activation follows the 1 x 1 convolution too, as in MobileNetV1,
            whose blocks have no skip.
    """

    kind: Literal["depthwise_separable"] = "depthwise_separable"
    usual: ClassVar[dict[str, int]] = {"group_size": 1}
    squeeze: float = Field(0.0, ge=0, le=1)
    activated: bool = False

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""
        return DepthwiseSeparable(self, inputs, stride, making, drop_rate)


class DepthwiseSeparable(Block):
    """As its row says; without a last activation the input is added where the shapes agree."""

    folds = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def __init__(
        self, row: DepthwiseSeparableRow, inputs: int, stride: int, making: Making, drop: float
    ):
        groups = row.groups_of(inputs)
        self.conv_dw = making.conv(inputs, inputs, row.kernel, stride=stride, groups=groups)
        self.bn1 = making.batch_norm(inputs)
        self.se = making.squeeze(row.squeeze, inputs, inputs, row.activation)
        self.conv_pw = making.conv(inputs, row.channels)
        self.bn2 = making.batch_norm(row.channels)
        self.act, self.activated, self.drop = making.act(row.activation), row.activated, drop
        self.skips = stride == 1 and inputs == row.channels and not row.activated

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result."""
        y = self.act(self.bn1(self.conv_dw(x), training))
        y = self.bn2(self.conv_pw(y if self.se is None else self.se(y)), training)
        y = self.act(y) if self.activated else y
        return x + drop_path(y, self.drop, training) if self.skips else y
