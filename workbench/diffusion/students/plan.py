"""How long students and rivals are trained, and by which recipe; all of it ours, for a CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from workbench.training import Recipe

Kind = Literal["one-pass", "consistency", "regression"]
PAPERS_DIVERGENCE = 0.1
"""λ of the paper, for predicted noises of 4 × 64 × 64 values."""
DIVERGENCE = PAPERS_DIVERGENCE * 16 * 16 / (4 * 64 * 64)
"""Ours, for 16 × 16: true noise of d values scores 1 / d, so that the paper's λ would weigh there
as 64 times itself."""


@dataclass(frozen=True)
class Arm:
    """One kind of student.

    Attributes:
        kind: how it is trained and sampled.
        passes: K of a one-pass student, sampling steps of a consistency student, else 1.
        divergence: λ of a one-pass student.
    """

    kind: Kind
    passes: int = 1
    divergence: float = DIVERGENCE

    @property
    def name(self) -> str:
        """On the screen."""
        if self.kind == "regression":
            return "one step, regression"
        if self.kind == "consistency":
            return f"consistency, {self.passes} step{'s' if self.passes > 1 else ''}"
        usual = self.divergence == DIVERGENCE
        return f"one pass, K = {self.passes}" + ("" if usual else f", λ = {self.divergence:g}")

    @property
    def folder(self) -> str:
        """Of its weights: those of a consistency student serve every number of steps."""
        return {
            "one-pass": f"one-pass-{self.passes}",
            "consistency": "consistency",
            "regression": "regression",
        }[self.kind]


SHIPPED = (
    Arm("one-pass", 4),
    Arm("one-pass", 2),
    Arm("one-pass", 1),
    Arm("consistency", 4),
    Arm("regression"),
)
"""Students with weights of their own."""
ABLATED = (0.0, DIVERGENCE, PAPERS_DIVERGENCE)
"""λ that are compared, at the K of the budget."""


@dataclass(frozen=True)
class Plan:
    """Lengths and recipe.

    All students have one budget, the multiply-adds of `steps` updates of the one-pass student with
    `budget_passes`; the teacher's and the fake score's passes count, and so do the pairs that
    regression learns from.

    Attributes:
        steps: updates of that student.
        budget_passes: its K.
        shipped: students with weights of their own.
        batch_size: pictures of an update.
        learning_rate: of students; the paper's is 1e-6 for Stable Diffusion.
        pairs_share: share of regression's budget that goes to making its pairs.
        teacher_steps, guidance: of the teacher whose pictures are matched.
        pictures: judged of each student.
        seeds: of training.
    """

    name: str = "tiue"
    steps: int = 300
    budget_passes: int = 4
    shipped: tuple[Arm, ...] = SHIPPED
    batch_size: int = 4
    learning_rate: float = 3e-5
    pairs_share: float = 0.5
    teacher_steps: int = 50
    guidance: float = 1.5
    pictures: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)

    def recipe(self, steps: int, seed: int) -> Recipe:
        """A short warm-up, in which the fake score comes up, then a cosine to zero; averaged."""
        return Recipe(
            steps=steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=steps // 5,
            clip_norm=1.0,
            ema_decay=0.98,
            log_every=max(1, steps // 30),
            checkpoint_every=100,
            seed=seed,
        )

    @property
    def whole(self) -> Arm:
        """The one-pass student with which the budget is counted and λ ablated."""
        return Arm("one-pass", self.budget_passes)

    @property
    def ablated(self) -> tuple[Arm, ...]:
        """That student for each λ."""
        return tuple(replace(self.whole, divergence=weight) for weight in ABLATED)

    @property
    def passes(self) -> tuple[int, ...]:
        """K of the one-pass students that ship."""
        return tuple(arm.passes for arm in self.shipped if arm.kind == "one-pass")

    def arms(self) -> tuple[Arm, ...]:
        """All that are trained, those that ship first."""
        return tuple(dict.fromkeys((*self.shipped, *self.ablated)))

    def judged(self, arm: Arm) -> tuple[Arm, ...]:
        """As which an arm's weights are sampled."""
        return (arm, replace(arm, passes=1)) if arm.kind == "consistency" else (arm,)

    def tiny(self) -> Plan:
        """A few updates: whether it works, and nothing else."""
        return replace(
            self,
            name=f"{self.name}-tiny",
            steps=2,
            budget_passes=2,
            shipped=(Arm("one-pass", 2), Arm("consistency", 2), Arm("regression")),
            batch_size=2,
            teacher_steps=4,
            pictures=20,
        )
