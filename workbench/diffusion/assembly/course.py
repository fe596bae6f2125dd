"""The course of training: every student of a plan, done once, kept in a store, gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flax import nnx

from workbench.datasets import Dataset, Images, digits
from workbench.diffusion.assembly.assembling import Assembly, assemble
from workbench.diffusion.assembly.distillation import DistillationTask
from workbench.diffusion.assembly.plan import Plan
from workbench.diffusion.assembly.presets import dropped_by
from workbench.diffusion.assembly.students import Student
from workbench.diffusion.assembly.transform import unet_form
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.unet import UNet2DCondition
from workbench.progress import Report, silent
from workbench.runs import Store
from workbench.training import train


@dataclass(frozen=True, eq=False)
class Trained:
    """A student with what it took.

    Attributes:
        unet: with its averaged weights.
        steps: updates.
        seconds: of training, compilation apart.
        losses: the last ones, by part.
        history: a row for every few updates.
    """

    unet: UNet2DCondition
    steps: int
    seconds: float
    losses: Mapping[str, float]
    history: Any


class Course:
    """Trains students of one teacher, each when it is asked for.

    Args:
        teacher: a class-conditional UNet that samples pixels.
        plan: students and lengths.
        store: where runs are kept.
        report: progress; what it raises stops the run at hand, and it can be gone on with.
        data: what the teacher was trained on; the digits of its size when None.

    Raises:
        ValueError: a teacher that reads no classes, or of a size that no digits have.
    """

    def __init__(
        self,
        teacher: Pipeline,
        plan: Plan,
        store: Store,
        report: Report = silent,
        data: Dataset[Images] | None = None,
    ):
        teacher.tokens  # noqa: B018  (says what is wrong where the teacher reads something else)
        self.teacher, self.plan, self.store, self.report = teacher, plan, store, report
        self._data = data
        self._known: dict[tuple[Student, int], Trained] = {}

    @cached_property
    def data(self) -> Dataset[Images]:
        """What is learnt from."""
        return digits(self.teacher.sample_shape[0]) if self._data is None else self._data

    def assembly(self, student: Student) -> Assembly:
        """What a student is made of."""
        form = unet_form(self.teacher)
        return assemble(form, dropped_by(form, student.preset))

    def trained(self, student: Student, seed: int) -> Trained:
        """A student of one seed, from the store where it was trained before."""
        known = self._known.get((student, seed))
        if known is not None:
            return known
        task = self.task(student, seed)
        label = f"{student.name}, seed {seed}"

        def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
            self.report(done, total, f"{label}: {note}" if note else label)

        told(0, self.plan.steps, "compiling")
        result = train(task, task.recipe, store=self.store, report=told)
        last = result.history.dropna(subset=["loss"]).iloc[-1]
        losses = {name: float(last[name]) for name in ("loss", "task", "output", "feature")}
        unet = nnx.merge(task.graph, result.weights)
        found = Trained(unet, result.steps, result.seconds, losses, result.history)
        return self._known.setdefault((student, seed), found)

    def task(self, student: Student, seed: int) -> DistillationTask:
        """What is trained."""
        return DistillationTask(
            self.teacher,
            self.assembly(student),
            self.data,
            self.plan.recipe(seed),
            experts=student.experts,
            routing=student.routing,
        )
