"""Multi-UNet switching as a method: a student makes the early steps, the subject the later ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.diffusion.assembly.assembled import (
    StudentKnobs,
    student_outline,
    student_problems,
    student_unet,
)
from workbench.diffusion.assembly.presets import A_SDM, Preset
from workbench.diffusion.assembly.transform import NetworkTransform, with_unet
from workbench.progress import Report, silent
from workbench.study.knobs import knob
from workbench.study.method import Problem

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline


class Switched(NetworkTransform):
    """The student of `Assembled` up to the switch, the whole UNet from there on."""

    name = "Multi-UNet switching"
    version = "1"
    paper = A_SDM

    class Knobs(StudentKnobs):
        switch: int = knob(
            10,
            ge=0,
            le=1000,
            unit="steps",
            label="Switch at",
            help="Steps that the student makes; the first of the others is made in full.",
            source="A-SDM, abstract; at which step is ours",
        )

    def __init__(self, preset: Preset | Literal["custom"] | Knobs | None = None, **values: Any):
        if isinstance(preset, str):
            values["preset"] = preset
            preset = None
        super().__init__(preset, **values)

    def check(self, subject: Pipeline) -> list[Problem]:
        found = super().check(subject) or student_problems(self.knobs, subject)
        if not any(problem.level == "error" for problem in found):
            try:
                self.outline(subject)
            except ValueError as error:
                found.append(Problem("error", "switch", str(error)))
        return found

    def outline(self, subject: Pipeline) -> Pipeline:
        from workbench.diffusion.switching import SwitchedPipeline

        early = replace(subject, **student_outline(self.knobs, subject))
        return SwitchedPipeline.of(subject, early, self.knobs.switch)

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Pipeline:
        self.require(subject)
        from workbench.diffusion.switching import SwitchedPipeline

        unet = student_unet(self.knobs, subject)
        early = with_unet(subject, unet, f"{subject.name} {self.knobs.preset}")
        return SwitchedPipeline.of(subject, early, self.knobs.switch)
