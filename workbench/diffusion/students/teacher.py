"""The teacher of a distillation: a class-conditional UNet with its sampler and guidance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.unet import UNet2DCondition, UNetConfig
from workbench.model_files.precision import FLOAT32


@dataclass(frozen=True, eq=False)
class Teacher:
    """A pipeline that students are made from.

    Attributes:
        pipeline: its sampler is DDIM with the steps and the guidance that are to be matched.

    Raises:
        ValueError: a model of another form: no UNet, text in place of classes, weights that are not
            float32, or predictions of another width than the sample.
    """

    pipeline: Pipeline

    def __post_init__(self) -> None:
        pipeline = self.pipeline
        fault = ""
        if not isinstance(pipeline.config, UNetConfig):
            fault = f"is a {type(pipeline.config).__name__.removesuffix('Config')}; needed a UNet"
        elif not isinstance(pipeline.conditioning, ClassTokens):
            fault = "is conditioned by text; needed class tokens"
        elif pipeline.precision != FLOAT32:
            fault = f"is stored as {pipeline.precision.name}; needed float32"
        elif pipeline.config.out_channels != pipeline.config.in_channels:
            fault = (
                f"predicts {pipeline.config.out_channels} channels of samples with "
                f"{pipeline.config.in_channels}; needed as many"
            )
        if fault:
            raise ValueError(f"teacher {pipeline.name} {fault}")

    @property
    def config(self) -> UNetConfig:
        """The form that students share."""
        assert isinstance(self.pipeline.config, UNetConfig)
        return self.pipeline.config

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        graph, state = nnx.split(abstract_unet(self.config))
        weights = jax.tree.unflatten(jax.tree.structure(state), self.pipeline.weights)
        return graph, weights

    @property
    def weights(self) -> Any:
        """An `nnx.State`."""
        return self._parts[1]

    def unet(self, weights: Any) -> UNet2DCondition:
        """The network of its form with these weights."""
        made: UNet2DCondition = nnx.merge(self._parts[0], weights)
        return made

    @property
    def tokens(self) -> Float[Array, "K T D"]:
        """Tokens of each class, the last row those of "no class"."""
        return self.pipeline.tokens.table

    @property
    def guidance(self) -> float:
        """g of both scores; the paper takes 4.5 for Stable Diffusion. Ours: the pipeline's."""
        return self.pipeline.guidance

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a sample."""
        return self.pipeline.sample_shape

    @property
    def fingerprint(self) -> str:
        """Of weights, form, sampler, steps and guidance."""
        return self.pipeline.fingerprint
