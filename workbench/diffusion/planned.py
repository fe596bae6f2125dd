"""What all sampling plans share: checks, the modelled cost, and running under one driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Self

from workbench.diffusion.arithmetic import UnitCosts
from workbench.diffusion.plan import Plan, PlanError
from workbench.measure.cost import Cost
from workbench.measure.memory import available_bytes
from workbench.progress import Report, silent
from workbench.study.method import Method, Problem

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline

BATCH = 8
FEWEST_STEPS = 6


class PlannedSampling(Method):
    """A method that only changes what each sampling step computes.

    A new one needs a name and `plan(steps)`.
    """

    kind = "plan"
    batch = BATCH
    """Pictures sampled together, for which memory is foreseen."""

    def plan(self, steps: int) -> Plan:
        """What each of `steps` steps computes."""
        raise TypeError(f"{type(self).__name__} needs plan(steps)")

    @classmethod
    def unfit(cls, steps: int) -> Mapping[str, Sequence[Any]]:
        """Choices that make no plan in a run of `steps` steps, by knob: a form withholds them."""
        return {}

    def run_steps(self, steps: int) -> int:
        """How long this method's run is where `steps` are asked for; so long, for most."""
        return steps

    def for_batch(self, pictures: int) -> Self:
        """The same method, checked for so many pictures sampled together."""
        found = copy(self)
        found.batch = pictures
        return found

    def outline(self, subject: Pipeline) -> Pipeline:
        changed = subject.with_sampling(steps=self.run_steps(subject.steps))
        return changed.with_plan(self.plan(changed.steps))

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Pipeline:
        self.require(subject)
        return self.outline(subject)

    def apply(self, artifact: Pipeline, inputs: Inputs) -> dict[str, Any]:
        # The modules that load jax are imported when something runs: forms are drawn without them.
        from workbench.diffusion.driver import sample

        return sample(artifact, inputs)

    def predict(self, subject: Pipeline) -> Cost:
        from workbench.diffusion.costs import plan_cost

        return plan_cost(self.outline(subject))

    def check(self, subject: Pipeline) -> list[Problem]:
        if not subject.plan.is_full:
            return [Problem("error", "", f"{subject.name} follows a plan already; plans of one run "
                            "do not stack")]  # fmt: skip
        try:
            planned = self.outline(subject)
        except (PlanError, ValueError) as error:
            return [Problem("error", self.plan_field, str(error))]
        from workbench.diffusion.costs import unit_costs

        baseline = self.slot == 0 and planned.steps == subject.steps
        costs = unit_costs(subject.shape)
        about = (planned.plan, subject.steps, costs, subject.passes)
        found = plan_problems(*about, self.plan_field, self.batch)
        return [] if baseline else found

    plan_field = ""


def plan_problems(
    plan: Plan, steps: int, costs: UnitCosts, passes: int, field: str = "", batch: int = BATCH
) -> list[Problem]:
    """Plans that cannot run on a model, or are foreseen to save nothing. Loads nothing heavy.

    Args:
        steps: of the run without a plan.
        passes: UNet passes a step, two with guidance.
        field: the knob that makes the plan.
        batch: pictures sampled together.
    """
    deepest = len(costs.shallow) - 1
    if "shallow" in plan.actions and deepest < 0:
        text = "This model has no skip connections, so no step can be shallow"
        return [Problem("error", field, text)]
    if "shallow" in plan.actions and plan.branch > deepest:
        text = f"Branch must be between 0 and {deepest} for this UNet. You gave {plan.branch}"
        return [Problem("error", "branch", text)]
    try:
        share = costs.run(plan).macs / costs.run(Plan.full(steps)).macs
    except PlanError as error:
        return [Problem("error", "names", str(error))]
    found = _memory(plan, costs, passes, batch)
    if plan.is_full and plan.steps == steps:
        text = "Every step runs in full: nothing is reused, so no time is saved"
        found.append(Problem("warn", field, text))
    elif share > 1:
        more = f"{100 * (share - 1):.0f} %"
        text = f"This plan computes {more} more than the baseline and will be slower"
        found.append(Problem("warn", field, text))
    if "decode" in plan.actions and plan.steps < FEWEST_STEPS:
        text = (
            f"With {plan.steps} steps neighbouring steps differ too much to share features; "
            "Faster Diffusion says it fails at about 5"
        )
        found.append(Problem("warn", field, text))
    return found


def _memory(plan: Plan, costs: UnitCosts, passes: int, batch: int) -> list[Problem]:
    group = plan.longest
    free = available_bytes() if group > 1 else None
    needed = costs.group_bytes(group, passes, batch)
    if free is None or needed <= free:
        return []
    fits = group
    while fits > 1 and costs.group_bytes(fits, passes, batch) > free:
        fits //= 2
    text = (
        f"Group of {group} needs about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. "
        f"Set the largest group to {fits}"
    )
    return [Problem("error", "largest_group", text)]
