"""The block of ConvNeXt (Liu et al. 2022, section 2.6 and figure 4)."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.row_blocks import by_rows
from workbench.vision.blocks.row import Block, Row
from workbench.vision.drop_path import drop_path
from workbench.vision.layers import Conv, Dense, along_channels
from workbench.vision.making import Making
from workbench.vision.observing import watched


class ConvNeXtRow(Row):
    """Depthwise, layer norm, 1 x 1 to more channels, GELU, 1 x 1 back, layer scale; x added.

    Args:
        expansion: of the 1 x 1 convolutions.
        layer_scale: where γ starts; None for none.
        convolutions: whether files hold the 1 x 1 convolutions as such, not as dense layers.
    """

    kind: Literal["convnext"] = "convnext"
    kernel: int = Field(7, ge=1)
    expansion: float = Field(4.0, gt=0)
    layer_scale: float | None = 1e-6
    convolutions: bool = False

    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block.

        Raises:
            ValueError: a stride, or another number of channels: the stages before it change both.
        """
        if stride != 1 or inputs != self.channels:
            raise ValueError(
                f"a convnext block keeps size and channels; it has stride={stride} and"
                f" {inputs} channels become channels={self.channels}"
            )
        return ConvNeXtBlock(self, making, drop_rate)


class Mlp(nnx.Module):
    """fc2(act(fc1(x))) of every pixel.

    Args:
        width, hidden: channels outside and inside.
        row: says how files hold both layers.
        making: the network's layers.
    """

    def __init__(self, width: int, hidden: int, row: ConvNeXtRow, making: Making):
        if row.convolutions:
            self.fc1: Conv | Dense = making.conv(width, hidden, bias=True)
            self.fc2: Conv | Dense = making.conv(hidden, width, bias=True)
        else:
            self.fc1, self.fc2 = making.dense(width, hidden), making.dense(hidden, width)
        self.act = making.act(row.activation)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The result."""
        return self.fc2(self.act(self.fc1(x)))


class ConvNeXtBlock(Block):
    """As its row says."""

    def __init__(self, row: ConvNeXtRow, making: Making, drop: float):
        width, hidden = row.channels, int(row.expansion * row.channels)
        self.conv_dw = making.conv(width, width, row.kernel, groups=width, bias=True)
        self.norm = making.layer_norm(width)
        self.mlp = Mlp(width, hidden, row, making)
        scale = row.layer_scale
        self.gamma = None if scale is None else nnx.Param(jnp.full((width,), scale, jnp.float32))
        self.initial_gamma, self.drop, self.dtype = scale, drop, making.dtype
        self.hidden = hidden

    @property
    def scaled(self) -> Conv | Dense:
        """The layer whose result γ weighs."""
        return self.mlp.fc2

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B H W C"]:
        """The block's result."""
        y = self.conv_dw(x)
        if watched():
            y = self._of_pixels(y)
        else:
            y = by_rows(self._of_pixels, y, self.hidden)
        if self.gamma is not None:
            y = y * along_channels(self.gamma[...], y, self.dtype)
        return x + drop_path(y, self.drop, training)

    def _of_pixels(self, y: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        return self.mlp(self.norm(y))
