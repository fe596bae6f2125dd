"""Scene: everything one picture of the lab is drawn from, whatever it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.diffusion.plan import Plan
from workbench.diffusion.step_lists import DEEPFLOYD
from workbench.labs.diffusion.own_plan import expanded
from workbench.labs.diffusion.points import Point
from workbench.study.method import Method


@dataclass(frozen=True)
class Scene:
    """The present methods with what is known of them.

    Args:
        methods: the baseline first, then the form's methods with their settings.
        points: what is known of each, by code; a method may be missing or predicted.
        others: further points of the same setting for the first chart.
        pictures: uint8 [seeds, H, W] by code.
        plans: what each method computes, by code.
        look: the method looked at closely.
        seed: the column shown in the split viewer.
    """

    methods: Sequence[Method]
    points: Mapping[str, Point]
    others: Mapping[str, Point]
    pictures: Mapping[str, np.ndarray]
    plans: Mapping[str, Plan]
    look: Method
    steps: int
    sampler: str = "ddim"
    seed: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)

    @property
    def baseline(self) -> Method:
        return self.methods[0]

    @property
    def base(self) -> Point | None:
        """What is known of the baseline."""
        return self.points.get(self.baseline.code())

    def point(self, method: Method) -> Point | None:
        return self.points.get(method.code())

    def slot(self, method: Method) -> int:
        """Colour and mark of a method."""
        return self.slots[type(method).name]


def series_name(name: str) -> str:
    """Fewer steps continue the baseline's line: the same sampler, sooner done."""
    return FullSampling.name if name == FewerSteps.name else name


def setting_words(point: Point, knobs: Mapping[str, Mapping[str, object]], steps: int) -> str:
    """The setting by which a point is told from others of its method."""
    if point.method == FullSampling.name:
        return f"{steps} steps"
    settings = next(iter(knobs.values()), {})
    if not settings:
        return ""
    if point.method == EncoderPropagation.name:
        named = str(settings["key_steps"])
        words = [f"every {settings['interval']}" if named == "uniform" else KEY_LISTS[named]]
        words += [f"noise {settings['injection']}"] if settings["injection"] else []
        return ", ".join(words)
    if point.method == FeatureInheritance.name:
        every = "my steps" if settings["mode"] == "custom" else f"every {settings['interval']}"
        words = ["centre-dense"] if settings["mode"] == "centre-dense" else []
        words += [f"branch {settings['branch']}"] if settings["branch"] else []
        return ", ".join([every, *words])
    if "pattern" in settings:
        full = expanded(str(settings["pattern"]), steps).count("full")
        return f"{full} of {steps} in full"
    if point.method == FewerSteps.name:
        return f"{settings['steps']} steps"
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


KEY_LISTS = {
    "paper": "paper’s 9 of 50",
    "second": "50ls2",
    "late": "50ls3",
    "spread": "50ls4",
    **{name: name for name in DEEPFLOYD},
    "triangular": "triangular",
    "custom": "my steps",
}
"""Key-step lists in the chart's words."""
