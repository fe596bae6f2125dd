"""Feature inheritance: most steps take part of the UNet's values from the last full step.

A-SDM (arXiv 2406.00210) skips work at the level of blocks, layers or units and spreads full steps
in several modes; which parts and how is not in its abstract, no code is public, and the definitions
here are ours. Its branch form is DeepCache (Ma et al., CVPR 2024, arXiv 2312.00858), which keeps
the decoder's hidden state below a skip connection and recomputes what lies above it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from workbench.diffusion import step_lists
from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.paper import Paper

DEEPCACHE = Paper(
    key="ma2024deepcache",
    title="DeepCache: Accelerating Diffusion Models for Free",
    authors="Ma, Xinyin and Fang, Gongfan and Wang, Xinchao",
    year=2024,
    arxiv="2312.00858",
    venue="CVPR 2024",
    claim="Reusing deep features with interval 5 runs Stable Diffusion 1.5 2.15 × as fast with "
    "little loss.",
)


# What each choice of parts stands for, in the names of `UNet2DCondition.run`. All ours.
BLOCKS: dict[str, tuple[str, ...]] = {
    "inner": ("mid", "up.0"),
    "middle": ("mid",),
    "encoder": ("down.*", "mid"),
}
LAYERS: dict[str, tuple[str, ...]] = {
    "encoder": ("down.*.layer.*",),
    "first": ("down.*.layer.0", "mid.layer.0"),
    "middle": ("mid.layer.*",),
}
UNITS: dict[str, tuple[str, ...]] = {
    "attention": ("**.self_attention", "**.cross_attention"),
    "self_attention": ("**.self_attention",),
    "cross_attention": ("**.cross_attention",),
    "feed_forward": ("**.feed_forward",),
    "transformer": ("**.self_attention", "**.cross_attention", "**.feed_forward"),
    "convolution": ("**.resnet",),
}

Mode = Literal["uniform", "front-dense", "back-dense", "centre-dense", "window", "custom"]


class FeatureInheritance(PlannedSampling):
    """Full steps at a list of steps; in between, part of the values come from the last of them."""

    name = "Feature inheritance"
    version = "1"
    slot = 2
    paper = DEEPCACHE
    plan_field = "mode"

    class Knobs(BaseKnobs):
        interval: int = knob(
            5,
            ge=1,
            le=20,
            unit="steps",
            help="One step in this many runs in full.",
            paper=5,
            source="DeepCache §3.2",
            visible_when={
                "mode": ("uniform", "front-dense", "back-dense", "centre-dense", "window")
            },
        )
        branch: int = knob(
            0,
            ge=0,
            le=11,
            help="Skip connection down to which layers are recomputed, 0 the outermost.",
            source="DeepCache package: cache_branch_id",
            visible_when={"level": "branch"},
        )
        mode: Mode = knob(
            "uniform",
            label="Step mode",
            help="How full steps spread over the run.",
            source="DeepCache §3.3; A-SDM, whose formulas are not public: ours",
            choices={
                "uniform": "Uniform",
                "front-dense": "Front-dense",
                "back-dense": "Back-dense",
                "centre-dense": "Centre-dense",
                "window": "Window",
                "custom": "My own",
            },
        )
        centre: float = knob(
            15.0,
            ge=0,
            le=1000,
            step=1,
            label="Centre",
            help="Full steps crowd around this step.",
            paper=15,
            source="DeepCache table 10",
            visible_when={"mode": "centre-dense"},
        )
        power: float = knob(
            1.4,
            ge=1.02,
            le=3.0,
            step=0.02,
            label="Crowding",
            help="How strongly they crowd; 1 is uniform.",
            paper=1.4,
            source="DeepCache table 10",
            visible_when={"mode": ("front-dense", "back-dense", "centre-dense")},
        )
        custom_steps: tuple[int, ...] = knob(
            (0, 5, 10, 15, 20, 25, 30, 35, 40, 45),
            label="My full steps",
            help="Step numbers from 0; step 0 must be among them.",
            visible_when={"mode": "custom"},
        )

        level: Literal["branch", "block", "layer", "unit", "named"] = knob(
            "branch",
            label="Level",
            help="What is inherited: all below a skip branch, whole blocks, layers (a ResNet with "
            "its transformer), units (a residual branch, the path around it stays live), or names.",
            source="A-SDM, abstract; which parts is ours",
            choices={
                "branch": "Branch (DeepCache)",
                "block": "Block",
                "layer": "Layer",
                "unit": "Unit",
                "named": "My own names",
            },
        )
        blocks: Literal["inner", "middle", "encoder"] = knob(
            "inner",
            label="Blocks",
            help="Inner: the middle block and the innermost up block. Encoder: all down blocks and "
            "the middle one.",
            visible_when={"level": "block"},
        )
        layers: Literal["encoder", "first", "middle"] = knob(
            "encoder",
            label="Layers",
            help="Encoder: every layer of the down blocks. First: the first of each of them and of "
            "the middle block.",
            visible_when={"level": "layer"},
        )
        units: Literal[
            "attention",
            "self_attention",
            "cross_attention",
            "feed_forward",
            "transformer",
            "convolution",
        ] = knob(
            "attention",
            label="Units",
            help="The residual branches inherited, everywhere in the model.",
            visible_when={"level": "unit"},
        )
        names: str = knob(
            "mid, up.0",
            label="Names",
            help="Blocks, layers or units, with commas between; * stands for one part of a name, "
            "** for any.",
            visible_when={"level": "named"},
        )
        first: int = knob(
            10,
            ge=1,
            le=500,
            unit="steps",
            label="First in full",
            help="Steps at the start that run in full.",
            visible_when={"mode": "window"},
        )
        last: int = knob(
            0,
            ge=0,
            le=500,
            unit="steps",
            label="Last in full",
            help="Steps at the end that run in full.",
            visible_when={"mode": "window"},
        )

    def identity(self) -> dict[str, Any]:
        # These knobs came later: at their defaults they change nothing, and finished runs keep
        # the name they have.
        found = super().identity()
        knobs = found["knobs"]
        fields = self.Knobs.model_fields
        found["knobs"] = {
            name: value
            for name, value in knobs.items()
            if name not in LATER or value != fields[name].default
        }
        return found

    def plan(self, steps: int) -> Plan:
        full_steps = self.full_steps(steps)
        if self.knobs.level == "branch":
            return Plan.from_full_steps(full_steps, steps, "shallow", branch=self.knobs.branch)
        return Plan.from_full_steps(full_steps, steps, "inherit", inherited=self.inherited)

    @property
    def inherited(self) -> tuple[str, ...]:
        """Names of what is inherited, patterns among them; none at branch level."""
        knobs = self.knobs
        chosen = {
            "branch": (),
            "block": BLOCKS[knobs.blocks],
            "layer": LAYERS[knobs.layers],
            "unit": UNITS[knobs.units],
            "named": tuple(name for name in re.split(r"[,\s]+", knobs.names) if name),
        }
        return chosen[knobs.level]

    def full_steps(self, steps: int) -> tuple[int, ...]:
        """The steps of a run of `steps` that compute everything."""
        knobs = self.knobs
        match knobs.mode:
            case "uniform":
                return step_lists.uniform(steps, knobs.interval)
            case "front-dense":
                return step_lists.front_dense(steps, knobs.interval, knobs.power)
            case "back-dense":
                return step_lists.back_dense(steps, knobs.interval, knobs.power)
            case "window":
                return step_lists.window(steps, knobs.interval, knobs.first, knobs.last)
            case "custom":
                return tuple(sorted(knobs.custom_steps))
        return step_lists.centre_dense(steps, knobs.interval, knobs.centre, knobs.power)


LATER = ("level", "blocks", "layers", "units", "names", "first", "last")
"""Knobs that the first version did not have."""
