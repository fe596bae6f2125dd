"""The block of ConvFirst (Lavin 2024), as far as its author's profiling code shows it.

Published are the order of its layers, groups of eight channels and SiLU. Layer scale, for training,
is ours; it folds into the last layer.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from kernels_pallas.convfirst_block import convfirst_block
from workbench.vision.blocks.as_one_op import as_one_op, can_be_one_op, runs_as_one_op
from workbench.vision.blocks.row import Block, GroupedRow
from workbench.vision.drop_path import drop_path
from workbench.vision.layers import Conv, along_channels
from workbench.vision.making import Making


class ConvFirstRow(GroupedRow):
    """Grouped spatial convolution with the stride, 1 x 1 to more channels, act, 1 x 1 back.

    A batch norm follows each convolution; the input is added where the shapes agree.

    Args:
        expansion: of the 1 x 1 convolutions.
        layer_scale: where γ starts; None for none.
    """

    kind: Literal["conv_first"] = "conv_first"
    usual: ClassVar[dict[str, int]] = {"group_size": 8}
    expansion: float = Field(4.0, gt=0)
    layer_scale: float | None = None

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""
        return ConvFirst(self, inputs, stride, making, drop_rate)


class ConvFirst(Block):
    """As its row says."""

    folds = (("conv", "bn1"), ("conv_exp", "bn2"), ("conv_prj", "bn3"))

    def __init__(self, row: ConvFirstRow, inputs: int, stride: int, making: Making, drop: float):
        hidden, outputs = int(row.expansion * inputs), row.channels
        groups = row.groups_of(inputs)
        self.conv = making.conv(inputs, inputs, row.kernel, stride=stride, groups=groups)
        self.bn1 = making.batch_norm(inputs)
        self.conv_exp = making.conv(inputs, hidden)
        self.bn2 = making.batch_norm(hidden)
        self.conv_prj = making.conv(hidden, outputs)
        self.bn3 = making.batch_norm(outputs)
        scale = row.layer_scale
        self.gamma = None if scale is None else nnx.Param(jnp.full((outputs,), scale, jnp.float32))
        self.initial_gamma, self.drop, self.dtype = scale, drop, making.dtype
        self.act = making.act(row.activation)
        self.activation = row.activation or making.activation
        self.skips = stride == 1 and inputs == outputs

    @property
    def fusable(self) -> bool:
        """Whether it is folded, and of layers and an activation that the op has."""
        layers = (self.conv, self.conv_exp, self.conv_prj)
        return self.gamma is None and can_be_one_op(self, *layers)

    @property
    def scaled(self) -> Conv:
        """The layer whose result γ weighs, its batch norm folded in."""
        return self.conv_prj

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result."""
        if runs_as_one_op(self, training):
            layers = (self.conv, self.conv_exp, self.conv_prj)
            return as_one_op(convfirst_block, x, *layers, self.activation, self.skips, self.fused)
        y = self.bn1(self.conv(x), training)
        y = self.act(self.bn2(self.conv_exp(y), training))
        y = self.bn3(self.conv_prj(y), training)
        if self.gamma is not None:
            y = y * along_channels(self.gamma[...], y, self.dtype)
        return x + drop_path(y, self.drop, training) if self.skips else y
