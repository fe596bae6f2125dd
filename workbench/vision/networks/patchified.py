"""The skeleton of ConvNeXt: a stem of patches, and patches of 2 x 2 between its stages.

With batch norms in place of layer norms it carries ConvFirst and any other row, which is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from workbench.vision.blocks.row import Row
from workbench.vision.drop_path import rates
from workbench.vision.making import Making
from workbench.vision.networks.config import NetworkConfig
from workbench.vision.networks.convnet import ConvNet
from workbench.vision.networks.rows import AnyRow
from workbench.vision.numbered import Numbered


class PatchifiedConfig(NetworkConfig):
    """A table of a ConvNeXt or a ConvFirst network.

    Args:
        patch: height and width of the stem's patches.
        stages: a row each; between two of them size is halved.
        norm: "layer": ConvNeXt's, with one before the classifier and before each 2 x 2 convolution;
            "batch": one after each convolution over patches, which folds into it.
    """

    kind: Literal["patchified"] = "patchified"
    patch: int = Field(4, ge=1)
    stages: tuple[AnyRow, ...] = Field(min_length=1)
    norm: Literal["layer", "batch"] = "layer"

    def rows(self) -> Iterator[Row]:
        """All rows, from the first stage to the last."""
        return iter(self.stages)

    def with_rows(self, rows: list[Any]) -> PatchifiedConfig:
        """The same network with other rows."""
        return self.model_copy(update={"stages": tuple(rows)})

    @property
    def multiple(self) -> int:
        """Height and width of a picture must be multiples of this, or patches would be cut off."""
        return self.patch * 2 ** (len(self.stages) - 1)

    def build(self, *, dtype: Any, rngs: nnx.Rngs) -> Patchified:
        """The network with fresh weights."""
        return Patchified(self, dtype=dtype, rngs=rngs)


class Patchified(ConvNet):
    """A ConvNeXt under the names of timm's files, or a network of other rows on its skeleton."""

    def __init__(self, config: PatchifiedConfig, *, dtype: Any, rngs: nnx.Rngs):
        super().__init__(config, dtype)
        layered = config.norm == "layer"
        making = Making(
            activation=config.activation,
            norm_eps=config.norm_eps,
            dtype=dtype,
            rngs=rngs,
            spread=0.02 if layered else None,
        )
        width = config.stages[0].channels
        norm = making.layer_norm if layered else making.batch_norm
        patches = making.patches(config.in_chans, width, config.patch, bias=layered)
        self.stem = Numbered(patches, norm(width))
        drops = iter(rates(config.drop_path, config.block_count))
        stages: list[nnx.Module] = []
        for number, row in enumerate(config.stages):
            downsample = None
            if number:
                halves = making.patches(width, row.channels, 2, bias=layered)
                pair = (norm(width), halves) if layered else (halves, norm(row.channels))
                downsample = Numbered(*pair)
                width = row.channels
            blocks = row.blocks(width, making, [next(drops) for _ in range(row.repeats)])
            stages.append(Stage(downsample, blocks))
            width = row.channels
        self.stages = nnx.List(stages)
        self.head = Head(making, width, config.num_classes, normed=layered)

    def trunk(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None
    ) -> Float[Array, "B h w K"]:
        """Stem and stages."""
        x = self.stem(x, training)
        for stage in self.stages:
            x = stage(x, training)
        return x

    def logits(
        self, features: Float[Array, "B h w D"], training: nnx.Rngs | None = None
    ) -> Float[Array, "B K"]:
        """The head."""
        return self.head(jnp.mean(features, axis=(1, 2)))


class Stage(nnx.Module):
    """Half the size, where there is a stage before, then blocks.

    Args:
        downsample: a convolution over patches of 2 x 2 and its norm, or None.
        blocks: in their order.
    """

    def __init__(self, downsample: Numbered | None, blocks: list[Any]):
        self.downsample, self.blocks = downsample, nnx.List(blocks)

    def __call__(
        self, x: Float[Array, "B H W C"], training: nnx.Rngs | None
    ) -> Float[Array, "B h w K"]:
        """The last block's result."""
        if self.downsample is not None:
            x = self.downsample(x, training)
        for block in self.blocks:
            x = block(x, training)
        return x


class Head(nnx.Module):
    """A norm, where there is one, and the classifier.

    Args:
        making: the network's layers.
        width: channels.
        classes: logits.
        normed: whether there is a norm.
    """

    def __init__(self, making: Making, width: int, classes: int, *, normed: bool):
        self.norm = making.layer_norm(width) if normed else None
        self.fc = making.dense(width, classes)

    def __call__(self, x: Float[Array, "B C"]) -> Float[Array, "B K"]:
        """Logits of pooled features."""
        return self.fc(x if self.norm is None else self.norm(x))
