"""Multi-expert conditional convolution as a method: experts that begin as one kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from workbench.diffusion.assembly.presets import A_SDM
from workbench.diffusion.assembly.transform import NetworkTransform, unet_form, with_unet
from workbench.progress import Report, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Problem

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.unet.config import UNetConfig


class ConditionalConvolution(NetworkTransform):
    """Puts experts into a network's ResNets; until they are trained it computes what it did.

    Trained ones are students of `Assembled(experts=...)`.
    """

    name = "ME-CondConv"
    version = "1"
    paper = A_SDM

    class Knobs(BaseKnobs):
        experts: int = knob(
            4,
            ge=2,
            le=8,
            help="Kernels that each 3×3 convolution of a ResNet mixes for each picture.",
            source="CondConv (arXiv 1904.04971) has 8; how many A-SDM has is not public: ours",
        )
        routing: Literal["softmax", "sigmoid"] = knob(
            "softmax",
            help="What makes weights of the router's numbers; sigmoid takes an even number.",
            source="CondConv §3: sigmoid; softmax is ours",
            choices={"softmax": "Softmax", "sigmoid": "Sigmoid"},
        )

    def check(self, subject: Pipeline) -> list[Problem]:
        found = super().check(subject)
        if found:
            return found
        if unet_form(subject).conv_experts != 1:
            text = f"{subject.name} mixes kernels already"
            return [Problem("error", "experts", text)]
        from workbench.diffusion.unet.config import require_pairs

        try:
            require_pairs(self.knobs.experts, self.knobs.routing)
        except ValueError as error:
            return [Problem("error", "experts", str(error))]
        return []

    def _config(self, subject: Pipeline) -> UNetConfig:
        knobs, config = self.knobs, unet_form(subject)
        fields = {"conv_experts": knobs.experts, "conv_routing": knobs.routing}
        return type(config)(**{**dict(config), **fields})

    def outline(self, subject: Pipeline) -> Pipeline:
        return replace(subject, config=self._config(subject), folder="")

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Pipeline:
        self.require(subject)
        from workbench.diffusion.assembly.experts import with_experts
        from workbench.diffusion.loading.writing import unet_of

        knobs = self.knobs
        unet = with_experts(unet_of(subject), knobs.experts, knobs.routing)
        return with_unet(subject, unet, f"{subject.name} with {knobs.experts} experts")
