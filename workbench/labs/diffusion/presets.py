"""What stands above the picture: the model in one line, and three places to start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.diffusion.dit.taylorseer import TaylorSeer
from workbench.diffusion.encoder_propagation import THE_PAPERS
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.methods import (
    DEFAULT,
    SAMPLING,
    MethodClass,
    Sampling,
    group_id,
)
from workbench.panels.view import Preset

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline


def study_line(facts: ModelFacts, pipeline: Pipeline | None) -> str:
    """Name, parameters and picture size of a model."""
    size = f"{facts.parameters / 1e6:.1f} M parameters"
    if pipeline is not None:
        height, width = pipeline.picture_size
        return f"{pipeline.name} · {size} · {height} × {width}"
    return f"Shipped digits UNet · {size} · 16 × 16, enlarged from 8 × 8 scans"


def setting_line(knobs: Sampling, pipeline: Pipeline | None) -> str:
    """Model and sampler of a claim held against a paper's."""
    model = "Digits UNet" if pipeline is None else pipeline.name
    return f"{model}, {knobs.sampler.upper()} {knobs.steps}, guidance {knobs.guidance:g}."


def own_sampling(pipeline: Pipeline) -> dict[str, Any]:
    """A given model's own sampler, steps and guidance, as far as the form goes."""
    from workbench.diffusion.pipeline import SAMPLERS

    own = (name for name, made in SAMPLERS.items() if isinstance(pipeline.scheduler, made))
    return {
        "sampler": next(own, "ddim"),
        "steps": min(max(pipeline.steps, 6), 200),
        "guidance": min(max(pipeline.guidance, 1.0), 10.0),
    }


def presets(methods: Sequence[MethodClass]) -> tuple[Preset, Preset, Preset]:
    """Three starting points answered from recorded trials."""
    names = [method.name for method in methods]

    def look(name: str) -> dict[str, Any]:
        return {"look": name if name in names else names[0]}

    propagation = group_id(DEFAULT[0])
    present = {group_id(method) for method in methods}
    wanted = (
        ("The paper’s nine key steps", DEFAULT[0].name, {propagation: THE_PAPERS}),
        (
            "Every second step keeps the encoder",
            DEFAULT[0].name,
            {propagation: {"key_steps": "uniform", "interval": 2}},
        ),
        _third(names),
    )
    one, two, three = (
        Preset(label, {**{g: v for g, v in knobs.items() if g in present}, SAMPLING: look(name)})
        for label, name, knobs in wanted
    )
    return one, two, three


def _third(names: Sequence[str]) -> tuple[str, str, dict[str, Any]]:
    """Label, method and its knobs: a list that the methods at hand can run."""
    if DEFAULT[1].name not in names and TaylorSeer.name in names:
        advice = {"interval": 4, "order": 4}
        return (
            "Every fourth step in full, the rest forecast",
            TaylorSeer.name,
            {group_id(TaylorSeer): advice},
        )
    return "Every fifth step in full", DEFAULT[1].name, {group_id(DEFAULT[1]): {"interval": 5}}
