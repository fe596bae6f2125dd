"""The automatic plan as a method: settings, search, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.diffusion.automatic.evidence import Evidence, timed_by
from workbench.diffusion.plan import Plan
from workbench.measure.cost import Cost
from workbench.progress import Report, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Method, Problem

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline

FIRST_SEED = 1000
"""Seeds of the search start here, apart from the ones that studies count from 0."""


class AutomaticPlan(Method):
    """Measures the model, then chooses what each step computes; it may choose to leave it be.

    `prepare` searches once for a pipeline and its settings and keeps what it measured in a file: a
    stopped search goes on where it was, and a finished one answers at once.
    """

    name = "Automatic plan"
    kind = "plan"
    version = "1"

    class Knobs(BaseKnobs):
        goal: Literal["time", "quality"] = knob(
            "time",
            label="Given",
            help="Time: the nearest pictures within a share of the time. Quality: the least time "
            "within a change of the pictures.",
            choices={"time": "Time", "quality": "Quality"},
        )
        budget: float = knob(
            0.5,
            ge=0.1,
            le=0.95,
            step=0.05,
            label="Share of the time",
            help="Time a run may take against the full one.",
            visible_when={"goal": "time"},
        )
        tolerance: float = knob(
            0.2,
            ge=0.005,
            le=1.0,
            step=0.005,
            label="Largest change",
            help="Relative change of the final sample, ‖x − x*‖ / ‖x*‖, beyond which no plan is "
            "worth it.",
        )
        cost: Literal["seconds", "operations"] = knob(
            "seconds",
            label="Cost by",
            help="What a step costs: measured on this machine, or counted.",
            choices={"seconds": "Measured time", "operations": "Operations"},
        )
        seeds: int = knob(
            8,
            ge=8,
            le=64,
            step=8,
            label="Search pictures",
            help="Pictures the search measures on; studies judge on others.",
        )
        tries: int = knob(
            12,
            ge=0,
            le=200,
            label="Changes tried",
            help="Changes of the best plan that are sampled and measured.",
        )

    def check(self, subject: Pipeline) -> list[Problem]:
        from workbench.diffusion.switching import SwitchedPipeline
        from workbench.diffusion.unet.config import UNetConfig

        if isinstance(subject, SwitchedPipeline):
            text = f"{subject.name} switches networks; the search knows runs of one"
            return [Problem("error", "", text)]
        if not isinstance(subject.config, UNetConfig):
            text = f"{subject.name} is no UNet; the search knows UNet steps only"
            return [Problem("error", "", text)]
        if not subject.plan.is_full:
            text = f"{subject.name} follows a plan already; plans of one run do not stack"
            return [Problem("error", "", text)]
        choice = self.choice(subject)
        if choice is None or choice["plan"] is not None:
            return []
        return [Problem("warn", "", f"None is worth it. {choice['reason']} {choice['advice']}")]

    def predict(self, subject: Pipeline) -> Cost:
        """Of the plan found before; before any search, the budget's share of a full run."""
        from workbench.diffusion.costs import plan_cost

        if self.choice(subject) is None and self.knobs.goal == "time":
            return plan_cost(subject) * self.knobs.budget
        return plan_cost(self.outline(subject))

    def outline(self, subject: Pipeline) -> Pipeline:
        choice = self.choice(subject)
        if choice is None or choice["plan"] is None:
            return subject
        return subject.with_plan(Plan.of_record(choice["plan"]))

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Pipeline:
        """Search, or read what an earlier search found; times count where they were measured.

        Raises:
            MethodError: for a subject that follows a plan already.
            Cancelled: from `report`; what was measured stays.
        """
        self.require(subject)
        from workbench.diffusion.automatic.choosing import choose
        from workbench.measure import device

        evidence = self.evidence(subject)
        if self.knobs.cost == "seconds":
            here = device.describe()
            evidence.keep_times_of(here.label(), timed_by(here))
        if self.key not in evidence.choices:
            evidence.choices[self.key] = choose(subject, self.knobs, evidence, report)
            evidence.save()
        return self.outline(subject)

    def apply(self, artifact: Pipeline, inputs: Inputs) -> dict[str, Any]:
        from workbench.diffusion.driver import sample

        return sample(artifact, inputs)

    @property
    def key(self) -> str:
        """Names these settings in the evidence."""
        knobs = self.knobs
        given = f"budget={knobs.budget:g}, " if knobs.goal == "time" else ""
        return f"{given}tolerance={knobs.tolerance:g}, cost={knobs.cost}, tries={knobs.tries}"

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """The seeds that the search measures on."""
        return tuple(range(FIRST_SEED, FIRST_SEED + self.knobs.seeds))

    def evidence(self, subject: Pipeline) -> Evidence:
        """All that is known of a pipeline: survey, trials, choices."""
        return Evidence.of(subject.fingerprint, self.search_seeds, str(self.version))

    def choice(self, subject: Pipeline) -> dict[str, Any] | None:
        """What was chosen for these settings, with its reason; None before any search.

        ``plan`` (a `Plan.record`, or None where none is worth it), ``share``, ``expected``,
        ``error``, ``fewer`` (steps and error of the rival at the same time), ``reason``,
        ``advice``.
        """
        return self.evidence(subject).choices.get(self.key)
