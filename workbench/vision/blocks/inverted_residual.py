"""The inverted residual of MobileNetV2 (Sandler et al. 2018, section 3.3), also called MBConv."""

from __future__ import annotations

from typing import ClassVar, Literal

from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from kernels_pallas.mbconv_block import mbconv_block
from workbench.vision.blocks.as_one_op import as_one_op, can_be_one_op, runs_as_one_op
from workbench.vision.blocks.row import Block, GroupedRow
from workbench.vision.drop_path import drop_path
from workbench.vision.making import Making, rounded


class InvertedResidualRow(GroupedRow):
    """1 x 1 to more channels, spatial by channel or group, 1 x 1 back; a batch norm after each.

    Args:
        expansion: expanded channels over input channels; the product becomes a multiple of eight.
        squeeze: share of the channels that squeeze-and-excitation keeps; 0 is none.
    """

    kind: Literal["inverted_residual"] = "inverted_residual"
    usual: ClassVar[dict[str, int]] = {"group_size": 1}
    expansion: float = Field(6.0, gt=0)
    squeeze: float = Field(0.0, ge=0, le=1)

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""
        return InvertedResidual(self, inputs, stride, making, drop_rate)


class InvertedResidual(Block):
    """As its row says; no activation at the end, and the input added where the shapes agree."""

    folds = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))

    def __init__(
        self, row: InvertedResidualRow, inputs: int, stride: int, making: Making, drop: float
    ):
        wide = rounded(inputs * row.expansion)
        groups = row.groups_of(wide)
        self.conv_pw = making.conv(inputs, wide)
        self.bn1 = making.batch_norm(wide)
        self.conv_dw = making.conv(wide, wide, row.kernel, stride=stride, groups=groups)
        self.bn2 = making.batch_norm(wide)
        self.se = making.squeeze(row.squeeze, inputs, wide, row.activation)
        self.conv_pwl = making.conv(wide, row.channels)
        self.bn3 = making.batch_norm(row.channels)
        self.act, self.drop = making.act(row.activation), drop
        self.activation = row.activation or making.activation
        self.skips = stride == 1 and inputs == row.channels

    @property
    def fusable(self) -> bool:
        """Whether it is folded, without a gate, and of layers and an activation the op has."""
        layers = (self.conv_dw, self.conv_pw, self.conv_pwl)
        return self.se is None and can_be_one_op(self, *layers)

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result."""
        if runs_as_one_op(self, training):
            layers = (self.conv_dw, self.conv_pw, self.conv_pwl)
            return as_one_op(mbconv_block, x, *layers, self.activation, self.skips, self.fused)
        y = self.act(self.bn1(self.conv_pw(x), training))
        y = self.act(self.bn2(self.conv_dw(y), training))
        y = self.bn3(self.conv_pwl(y if self.se is None else self.se(y)), training)
        return x + drop_path(y, self.drop, training) if self.skips else y
