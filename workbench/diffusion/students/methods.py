"""Trained students as methods, which `compare` and the lab hold against any sampling plan.

    compare([FullSampling(), OnePassStudent(passes=4), ConsistencyStudent(steps=4)], study)

A student draws with weights of its own, which `...students.train` made; the subject gives noise and
classes, and must be the teacher they were made from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workbench.checkpoints import CheckpointError
from workbench.diffusion.students.plan import Arm
from workbench.measure.cost import Cost
from workbench.progress import Report, silent
from workbench.shipped import path
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Method, Problem
from workbench.study.paper import Paper

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline
    from workbench.diffusion.students.student import Student

TIUE = Paper(
    key="li2025oneway",
    title="One-Way Ticket: Time-Independent Unified Encoder for Distilling Text-to-Image Diffusion "
    "Models",
    authors="Li, Senmao and Wang, Lei and Wang, Kai and Liu, Tao and Xie, Jiehang and van de "
    "Weijer, Joost and Khan, Fahad Shahbaz and Yang, Shiqi and Wang, Yaxing and Yang, Jian",
    year=2025,
    arxiv="2505.21960",
    venue="CVPR 2025",
    claim="One encoder pass and parallel decoder passes are more diverse and more realistic than "
    "LCM, SD-Turbo and SwiftBrush v2 at a similar cost.",
)
LCM_PAPER = Paper(
    key="luo2023latent",
    title="Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference",
    authors="Luo, Simian and Tan, Yiqin and Huang, Longbo and Li, Jian and Zhao, Hang",
    year=2023,
    arxiv="2310.04378",
    claim="Two to four steps draw high-resolution pictures.",
)
SHIPPED_FOLDER = "data/digits-students"


class DistilledSampling(Method):
    """A student in its folder; a new kind needs a name, knobs and `arm`."""

    kind = "model"
    place: ClassVar[str | Path] = SHIPPED_FOLDER
    """Folder that `...students.train` wrote: beside the shipped data, or a path."""

    @property
    def arm(self) -> Arm:
        """Which student, and how it is sampled."""
        raise TypeError(f"{type(self).__name__} needs arm")

    @property
    def folder(self) -> Path:
        """Of its weights."""
        place = path(self.place) if isinstance(self.place, str) else self.place
        return place / self.arm.folder

    def identity(self) -> dict[str, Any]:
        """Its weights are part of its name: a student trained anew is another."""
        from workbench.diffusion.folder_hash import hash_of_weights

        try:
            weights = hash_of_weights(self.folder)
        except FileNotFoundError:  # said by `check`
            weights = ""
        return {**super().identity(), "weights": weights}

    def check(self, subject: Pipeline) -> list[Problem]:
        try:
            fields = json.loads((self.folder / "student.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            text = (
                f"There is no student in {self.place}/{self.arm.folder}; "
                "python -m workbench.diffusion.students.train makes it"
            )
            return [Problem("error", "", text)]
        made_from = fields.get("teacher")
        if made_from != getattr(subject, "weights_hash", None):
            text = (
                f"This student was made from weights {made_from}; {subject.name} has "
                f"{getattr(subject, 'weights_hash', 'none')}"
            )
            return [Problem("error", "", text)]
        if not subject.plan.is_full:
            text = f"{subject.name} follows a plan; a student has steps of its own"
            return [Problem("error", "", text)]
        return []

    def predict(self, subject: Pipeline) -> Cost:
        from workbench.diffusion.costs import full_cost
        from workbench.diffusion.students.student import one_pass_cost

        steps = self.arm.passes
        if self.arm.kind == "consistency":
            found = full_cost(subject.shape) * steps
        else:
            found = one_pass_cost(subject.shape, steps)
        return Cost(macs=found.macs, macs_no_bmm=found.no_bmm, basis="modelled")

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Student:
        from workbench.diffusion.students.student import load_student

        self.require(subject)
        student = load_student(self.folder)
        if student.pipeline.config != subject.config:
            raise CheckpointError(f"{self.folder}: the student's form is not {subject.name}'s")
        return student.with_passes(self.arm.passes)

    def apply(self, artifact: Student, inputs: Inputs) -> dict[str, Any]:
        return artifact.sample(inputs)


class OnePassStudent(DistilledSampling):
    """TiUE: the encoder once, on noise; the decoder K times in one batch."""

    name = "One-pass student"
    version = "1"
    paper = TIUE

    class Knobs(BaseKnobs):
        passes: Literal[1, 2, 4] = knob(
            4,
            label="Decoder passes",
            help="K: the decoder's timesteps, all in one batch. Each K has weights of its own.",
            paper=4,
            source="TiUE, public settings",
        )

    @property
    def arm(self) -> Arm:
        return Arm("one-pass", self.knobs.passes)


class ConsistencyStudent(DistilledSampling):
    """A consistency model distilled from the same teacher with the same arithmetic."""

    name = "Consistency student"
    version = "1"
    paper = LCM_PAPER

    class Knobs(BaseKnobs):
        steps: int = knob(
            4,
            ge=1,
            le=8,
            unit="steps",
            help="Steps of one and the same network; each adds noise again and predicts anew.",
            paper=4,
            source="LCM, section 5",
        )

    @property
    def arm(self) -> Arm:
        return Arm("consistency", self.knobs.steps)


class OneStepStudent(DistilledSampling):
    """One whole pass that learnt the teacher's pictures by squared error; the plainest rival."""

    name = "One-step student"
    version = "1"

    @property
    def arm(self) -> Arm:
        return Arm("regression")
