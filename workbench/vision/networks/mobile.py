"""The skeleton of MobileNets and EfficientNets: a 3 x 3 stem, stages of rows, a 1 x 1 head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.vision.activations import Gate
from workbench.vision.blocks.row import Row
from workbench.vision.drop_path import rates
from workbench.vision.making import Making, Sides
from workbench.vision.networks.config import NetworkConfig
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.networks.rows import AnyRow


class MobileConfig(NetworkConfig):
    """A table of a MobileNet or an EfficientNet.

    Args:
        stem: channels of the 3 x 3 convolution of stride 2 at the beginning.
        stages: rows by stage; files number both.
        head: channels of the 1 x 1 convolution at the end; 0 is none.
        head_pooled: whether it comes after pooling, with a bias and no norm, as MobileNetV3's.
        sides: how convolutions are padded.
        squeeze_of, gate: how its blocks squeeze and excite; see `Making`.
    """

    kind: Literal["mobile"] = "mobile"
    stem: int = Field(ge=1)
    stages: tuple[tuple[AnyRow, ...], ...] = Field(min_length=1)
    head: int = Field(ge=0)
    head_pooled: bool = False
    sides: Sides = "symmetric"
    squeeze_of: Literal["input", "expanded"] = "input"
    gate: Gate = "sigmoid"

    def rows(self) -> Iterator[Row]:
        """All rows, from the first stage to the last."""
        return (row for stage in self.stages for row in stage)

    def with_rows(self, rows: list[Any]) -> MobileConfig:
        """The same network with other rows."""
        left = iter(rows)
        stages = tuple(tuple(next(left) for _ in stage) for stage in self.stages)
        return self.model_copy(update={"stages": stages})

    def build(self, *, dtype: Any, rngs: nnx.Rngs) -> MobileNet:
        """The network with fresh weights."""
        return MobileNet(self, dtype=dtype, rngs=rngs)


class MobileNet(ConvNet):
    """A MobileNet or an EfficientNet, under the names of timm's files."""

    def __init__(self, config: MobileConfig, *, dtype: Any, rngs: nnx.Rngs):
        super().__init__(config, dtype)
        making = Making(
            activation=config.activation,
            norm_eps=config.norm_eps,
            dtype=dtype,
            rngs=rngs,
            sides=config.sides,
            squeeze_of=config.squeeze_of,
            gate=config.gate,
        )
        width = config.stem
        self.conv_stem = making.conv(config.in_chans, width, 3, stride=2)
        self.bn1 = making.batch_norm(width)
        drops = iter(rates(config.drop_path, config.block_count))
        stages = []
        for stage in config.stages:
            blocks: list[nnx.Module] = []
            for row in stage:
                blocks += row.blocks(width, making, [next(drops) for _ in range(row.repeats)])
                width = row.channels
            stages.append(nnx.List(blocks))
        self.blocks = nnx.List(stages)
        head, pooled = config.head, config.head_pooled
        self.conv_head = making.conv(width, head, bias=pooled) if head else None
        self.bn2 = making.batch_norm(head) if head and not pooled else None
        self.classifier = making.dense(head or width, config.num_classes)
        self.act = making.act()
        ends: tuple[tuple[str, str], ...] = (("conv_head", "bn2"),) if self.bn2 else ()
        self.folds = (("conv_stem", "bn1"), *ends)

    def trunk(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None
    ) -> Float[Array, "B h w K"]:
        """Stem and stages."""
        x = self.act(self.bn1(self.conv_stem(x), training))
        for stage in self.blocks:
            for block in stage:
                x = block(x, training)
        return x

    def logits(
        self, features: Float[Array, "B h w D"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B K"]:
        """The head."""
        x = features
        if self.conv_head is not None and self.bn2 is not None:
            x = self.act(self.bn2(self.conv_head(x), training))
        x = jnp.mean(x, axis=(1, 2), keepdims=True)
        if self.conv_head is not None and self.bn2 is None:
            x = self.act(self.conv_head(x))
        return self.classifier(x[:, 0, 0])
