"""The course of training: every arm on one budget, each run kept in a store and done once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from workbench.datasets import Dataset, Images, digits
from workbench.diffusion.costs import full_cost
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.students.learning import OnePassTask
from workbench.diffusion.students.low_rank import LowRank
from workbench.diffusion.students.pairs import teacher_pairs
from workbench.diffusion.students.plan import Arm, Plan
from workbench.diffusion.students.rivals import (
    ConsistencyTask,
    Pairs,
    RegressionTask,
    consistency_scheduler,
)
from workbench.diffusion.students.student import Student, student_of
from workbench.diffusion.students.teacher import Teacher
from workbench.diffusion.super_resolution.arithmetic import update_macs
from workbench.progress import Report, silent
from workbench.runs import Store
from workbench.training import train


@dataclass(frozen=True, eq=False)
class Trained:
    """A student with what it took.

    Attributes:
        student: with its weights.
        steps: updates.
        macs: multiply-adds of all of it, the teacher's passes among them.
        seconds: of updates, compilation apart; and of the teacher for the pairs, where there are.
        losses: the last ones, by name.
    """

    student: Student
    steps: int
    macs: float
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)


class Course:
    """Trains what a plan holds, each arm when it is asked for.

    Args:
        plan: lengths and recipe.
        pipeline: the teacher; its sampler becomes DDIM with the plan's steps and guidance.
        store: where runs are kept.
        report: progress; what it raises stops the run at hand, and it can be gone on with.
        data: pictures of the consistency rival; the digits when None.

    Raises:
        ValueError: a teacher of another form, or one whose sampler makes no linear form.
    """

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        store: Store,
        report: Report = silent,
        data: Dataset[Images] | None = None,
    ) -> None:
        sampled = pipeline.with_sampling(
            steps=plan.teacher_steps, guidance=plan.guidance, sampler="ddim"
        )
        self.plan, self.teacher, self.store, self.report = plan, Teacher(sampled), store, report
        self._data = data
        self._budget_task = self._one_pass(plan.whole, 1, 0)
        self._known: dict[tuple[Arm, int], Trained] = {}

    @cached_property
    def data(self) -> Dataset[Images]:
        """What the consistency rival reads."""
        return digits(self.teacher.shape[0]) if self._data is None else self._data

    @property
    def adapter(self) -> LowRank:
        """Of the fake score."""
        return self._budget_task.adapter

    @cached_property
    def budget(self) -> float:
        """Multiply-adds each arm may use."""
        return self.plan.steps * update_macs(self._budget_task)

    @cached_property
    def picture_macs(self) -> float:
        """Of one picture of the teacher's, guidance included."""
        pipeline = self.teacher.pipeline
        return full_cost(pipeline.shape).macs * pipeline.passes * pipeline.steps

    @property
    def pair_count(self) -> int:
        """Pairs that regression's share of the budget makes."""
        share = self.plan.pairs_share * self.budget
        return max(self.plan.batch_size, round(share / self.picture_macs))

    @cached_property
    def pairs(self) -> Pairs:
        """Noise and pictures for regression, the same for all seeds."""
        return teacher_pairs(self.teacher, self.pair_count, self.store, self.report)

    def trained(self, arm: Arm, seed: int) -> Trained:
        """An arm's student after its share of updates."""
        if (arm, seed) in self._known:
            return self._known[arm, seed]
        each = self._macs(arm)
        before = self.pair_count * self.picture_macs if arm.kind == "regression" else 0.0
        steps = max(1, round((self.budget - before) / each))
        task = self._task(arm, steps, seed)
        label = f"{arm.name}, seed {seed}"

        def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
            self.report(done, total, f"{label}: {note}" if note else label)

        told(0, steps, "compiling")
        result = train(task, task.recipe, store=self.store, report=told)
        weights = result.weights["student"] if arm.kind == "one-pass" else result.weights
        sampler = consistency_scheduler(self.teacher) if arm.kind == "consistency" else None
        student = student_of(self.teacher.pipeline, weights, arm.kind, arm.passes, sampler)
        last = result.history.dropna(subset=["loss"]).iloc[-1]
        names = ("loss", "distillation", "divergence", "fake_score")
        losses = {name: float(last[name]) for name in names if name in last}
        macs = before + result.steps * each
        found = Trained(student, result.steps, macs, result.seconds, losses)
        return self._known.setdefault((arm, seed), found)

    def _macs(self, arm: Arm) -> float:
        """Of one update."""
        key = (arm.kind, arm.passes)
        if key not in self._update_macs:
            self._update_macs[key] = update_macs(self._task(arm, 1, 0, counting=True))
        return self._update_macs[key]

    @cached_property
    def _update_macs(self) -> dict[tuple[str, int], float]:
        return {}

    def _task(self, arm: Arm, steps: int, seed: int, *, counting: bool = False) -> Any:
        recipe = self.plan.recipe(steps, seed)
        if arm.kind == "one-pass":
            return self._one_pass(arm, steps, seed)
        if arm.kind == "consistency":
            return ConsistencyTask(self.teacher, self.data, recipe)
        pairs = self._shapes() if counting else self.pairs
        return RegressionTask(self.teacher, pairs, recipe)

    def _one_pass(self, arm: Arm, steps: int, seed: int) -> OnePassTask:
        recipe = self.plan.recipe(steps, seed)
        return OnePassTask(self.teacher, arm.passes, arm.divergence, recipe)

    def _shapes(self) -> Pairs:
        """Pairs of the right shapes, for counting alone."""
        count = self.plan.batch_size
        nothing = np.zeros((count, *self.teacher.shape), np.float32)
        return Pairs(nothing, nothing, np.zeros(count, np.int32))
