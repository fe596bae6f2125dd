"""What changes a pipeline's network and leaves its sampling as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.measure.cost import Cost
from workbench.study.method import Method, Problem

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline
    from workbench.diffusion.unet.config import UNetConfig
    from workbench.diffusion.unet.model import UNet2DCondition


class NetworkTransform(Method):
    """A method whose artifact is a pipeline with another network, or other weights, in it.

    Transforms come before the plan: `Assembled().then(Precision()).then(EncoderPropagation())`.
    """

    kind = "transform"

    def predict(self, subject: Pipeline) -> Cost:
        from workbench.diffusion.costs import plan_cost

        return plan_cost(self.outline(subject))

    def apply(self, artifact: Pipeline, inputs: Inputs) -> dict[str, Any]:
        from workbench.diffusion.driver import sample

        return sample(artifact, inputs)

    def check(self, subject: Pipeline) -> list[Problem]:
        from workbench.diffusion.switching import SwitchedPipeline

        try:
            unet_form(subject)
        except ValueError as error:
            return [Problem("error", "", str(error))]
        if isinstance(subject, SwitchedPipeline):
            text = f"{subject.name} switches networks already; {self.name.lower()} comes before"
            return [Problem("error", "", text)]
        if subject.precision.name != "float32":
            text = f"The weights of {subject.name} are in {subject.precision.name}; precision "
            return [Problem("error", "", f"{text}comes after {self.name.lower()}")]
        if subject.precision.transformed is not None:
            text = f"The kernels of {subject.name} are kept transformed; load without"
            return [Problem("error", "", f"{text} kept_transforms")]
        return []


def unet_form(pipeline: Pipeline) -> UNetConfig:
    """The form of a pipeline's UNet.

    Raises:
        ValueError: a pipeline of another network.
    """
    from workbench.diffusion.unet.config import UNetConfig

    if not isinstance(pipeline.config, UNetConfig):
        raise ValueError(f"{pipeline.name} is no UNet; its blocks are others")
    return pipeline.config


def with_unet(pipeline: Pipeline, unet: UNet2DCondition, name: str) -> Pipeline:
    """The pipeline with another UNet in it, under the same plan."""
    from workbench.diffusion.folder_hash import hash_of_model
    from workbench.diffusion.pipeline import flat_weights

    return replace(
        pipeline,
        name=name,
        config=unet.config,
        weights=flat_weights(unet),
        weights_hash=hash_of_model(unet),
        folder="",
    )


class GivenUNet(NetworkTransform):
    """Puts a UNet that is at hand, such as a student just trained, in the pipeline's place.

    Args:
        unet: reads and draws what the pipeline's own does.
        name: on the screen.
    """

    name = "UNet at hand"

    def __init__(self, unet: UNet2DCondition, name: str):
        super().__init__()
        self.unet, self.name = unet, name

    def identity(self) -> dict[str, Any]:
        from workbench.diffusion.folder_hash import hash_of_model

        return {"method": "given UNet", "version": "1", "knobs": hash_of_model(self.unet)}

    def check(self, subject: Pipeline) -> list[Problem]:
        found = super().check(subject)
        for field in ("in_channels", "out_channels", "cross_attention_dim"):
            ours, theirs = getattr(subject.config, field, None), getattr(self.unet.config, field)
            if not found and ours != theirs:
                text = f"{self.name} is of another form: {field} is {theirs}, not {ours}"
                found.append(Problem("error", "", text))
        return found

    def outline(self, subject: Pipeline) -> Pipeline:
        return with_unet(subject, self.unet, self.name)

    def prepare(self, subject: Pipeline, seed: int = 0, report: Any = None) -> Pipeline:
        self.require(subject)
        return self.outline(subject)

    def code(self) -> str:
        return f"GivenUNet(unet, {self.name!r})"
