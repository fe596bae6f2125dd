"""The skeleton of ResNets: a 7 x 7 stem with pooling, four stages (He et al. 2016, table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.vision.activations import Activation
from workbench.vision.blocks.row import Row
from workbench.vision.drop_path import rates
from workbench.vision.making import Making
from workbench.vision.networks.config import NetworkConfig
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.networks.rows import AnyRow


class ResNetConfig(NetworkConfig):
    """A table of a ResNet or a ResNeXt.

    Args:
        stem: channels of the 7 x 7 convolution of stride 2 at the beginning.
        stages: a row each.
    """

    kind: Literal["resnet"] = "resnet"
    activation: Activation = "relu"
    stem: int = Field(64, ge=1)
    stages: tuple[AnyRow, ...] = Field(min_length=1)

    def rows(self) -> Iterator[Row]:
        """All rows, from the first stage to the last."""
        return iter(self.stages)

    def with_rows(self, rows: list[Any]) -> ResNetConfig:
        """The same network with other rows."""
        return self.model_copy(update={"stages": tuple(rows)})

    def build(self, *, dtype: Any, rngs: nnx.Rngs) -> ResNet:
        """The network with fresh weights."""
        return ResNet(self, dtype=dtype, rngs=rngs)


class ResNet(ConvNet):
    """A ResNet or a ResNeXt, under the names of timm's files."""

    folds = (("conv1", "bn1"),)

    def __init__(self, config: ResNetConfig, *, dtype: Any, rngs: nnx.Rngs):
        super().__init__(config, dtype)
        making = Making(
            activation=config.activation, norm_eps=config.norm_eps, dtype=dtype, rngs=rngs
        )
        width = config.stem
        self.conv1 = making.conv(config.in_chans, width, 7, stride=2)
        self.bn1 = making.batch_norm(width)
        drops = iter(rates(config.drop_path, config.block_count))
        for number, row in enumerate(config.stages, 1):
            blocks = row.blocks(width, making, [next(drops) for _ in range(row.repeats)])
            setattr(self, f"layer{number}", nnx.List(blocks))
            width = row.channels
        self.fc = making.dense(width, config.num_classes)
        self.act = making.act()

    def trunk(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None
    ) -> Float[Array, "B h w K"]:
        """Stem and stages."""
        x = largest_of_nine(self.act(self.bn1(self.conv1(x), training)))
        for number in range(1, len(list(self.config.rows())) + 1):
            for block in getattr(self, f"layer{number}"):
                x = block(x, training)
        return x

    def logits(
        self, features: Float[Array, "B h w D"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B K"]:
        """The head."""
        return self.fc(jnp.mean(features, axis=(1, 2)))


def largest_of_nine(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """Maxima over 3 x 3 pixels at stride 2, one pixel of padding around."""
    least = jnp.asarray(-jnp.inf, x.dtype)
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(x, least, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around)
