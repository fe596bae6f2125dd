"""One row of a network's table: a block, its channels, and how often it is repeated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from flax import nnx
from jaxtyping import Array, Float
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from workbench.vision.activations import Activation
from workbench.vision.making import Making


class Block(nnx.Module):
    """Maps pictures [B, H, W, C] to [B, h, w, K].

    `folds` names its convolutions with the batch norms that follow them. Of a block with a layer
    scale, `scaled` is the layer whose result the scale weighs. Where `fusable`, a folded block may
    run as one op: `fused` names the form that it does so in.
    """

    folds: tuple[tuple[str, str], ...] = ()
    fused: str = ""

    @property
    def fusable(self) -> bool:
        """Whether it can run as one op."""
        return False

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B h w K"]:
        """The block's result.

        Args:
            x: pictures.
            training: the step's random numbers; None for inference.
        """
        raise NotImplementedError


class Row(BaseModel, ABC):
    """A block of one kind, repeated; the stride is that of the first.

    Args:
        channels: of each block's result.
        repeats: blocks.
        stride: of the first block.
        kernel: height and width of the spatial convolution.
        activation: the network's where none is named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    channels: int = Field(ge=1)
    repeats: int = Field(1, ge=1)
    stride: int = Field(1, ge=1, le=2)
    kernel: int = Field(3, ge=1)
    activation: Activation | None = None

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"kernel={value} must be odd, so that it has a middle")
        return value

    def blocks(self, inputs: int, making: Making, drop_rates: Sequence[float]) -> list[Block]:
        """Fresh blocks.

        Args:
            inputs: channels of the first one's input.
            making: the network's layers.
            drop_rates: of stochastic depth, one for each block.
        """
        return [
            self.block(
                inputs if number == 0 else self.channels,
                self.stride if number == 0 else 1,
                making,
                drop_rates[number],
            )
            for number in range(self.repeats)
        ]

    @abstractmethod
    def block(self, inputs: int, stride: int, making: Making, drop_rate: float) -> Block:
        """One fresh block."""


class GroupedRow(Row):
    """A row whose spatial convolution has groups: so many, or of so many channels each.

    Args:
        group_size: channels of a group; 1 is depthwise.
        groups: groups; given in place of `group_size`.
    """

    group_size: int | None = Field(None, ge=1)
    groups: int | None = Field(None, ge=1)
    usual: ClassVar[dict[str, int]]
    """Where a row gives neither."""

    @model_validator(mode="before")
    @classmethod
    def _as_usual(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or {"group_size", "groups"} & set(fields):
            return fields
        return {**fields, **cls.usual}

    @model_validator(mode="after")
    def _one_of_both(self) -> GroupedRow:
        if (self.group_size is None) == (self.groups is None):
            raise ValueError(
                f"group_size={self.group_size} and groups={self.groups}: give one of them"
            )
        return self

    def groups_of(self, channels: int) -> int:
        """Groups of a spatial convolution of so many channels.

        Raises:
            ValueError: they do not divide the channels.
        """
        name = "groups" if self.group_size is None else "group_size"
        divisor = getattr(self, name)
        if channels % divisor:
            raise ValueError(
                f"{name}={divisor} does not divide the {channels} channels of a spatial convolution"
            )
        return divisor if name == "groups" else channels // divisor
