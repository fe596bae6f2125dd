"""What all sampling plans share: checks, the modelled cost, and running under one driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.diffusion.plan import Plan, PlanError
from workbench.measure.cost import Cost
from workbench.measure.memory import available_bytes
from workbench.study.method import Method, Problem
from workbench.study.progress import Report, silent

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Inputs, Pipeline


class PlannedSampling(Method):
    """A method that only changes what each sampling step computes.

    A new one needs a name and `plan(steps)`.
    """

    kind = "plan"

    def plan(self, steps: int) -> Plan:
        """What each of `steps` steps computes."""
        raise TypeError(f"{type(self).__name__} needs plan(steps)")

    def resampled(self, subject: Pipeline) -> Pipeline:
        """The subject with this method's own sampler settings; as it is, for most."""
        return subject

    def outline(self, subject: Pipeline) -> Pipeline:
        changed = self.resampled(subject)
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
        # A branch that is not there has no cost to look at.
        return _branch(planned) or [*_memory(planned), *self._gain(subject, planned)]

    plan_field = ""

    def _gain(self, subject: Pipeline, planned: Pipeline) -> list[Problem]:
        """Plans that save nothing are said so before they run."""
        from workbench.diffusion.costs import plan_cost

        before, after = plan_cost(subject).macs or 0, plan_cost(planned).macs or 0
        if planned.plan.is_full and planned.steps == subject.steps:
            if self.slot == 0:
                return []
            text = "Every step runs in full: nothing is reused, so no time is saved"
            return [Problem("warn", self.plan_field, text)]
        if after > before:
            share = 100 * (after / before - 1)
            text = f"This plan computes {share:.0f} % more than the baseline and will be slower"
            return [Problem("warn", self.plan_field, text)]
        return []


def _branch(planned: Pipeline) -> list[Problem]:
    from workbench.diffusion.unet.program import program

    deepest = len(program(planned.config).up_layers) - 1
    if planned.plan.branch <= deepest:
        return []
    text = f"Branch must be between 0 and {deepest} for this UNet. You gave {planned.plan.branch}"
    return [Problem("error", "branch", text)]


def _memory(planned: Pipeline) -> list[Problem]:
    from workbench.diffusion.costs import plan_memory

    longest = max(len(run) for run in planned.plan.batches)
    needed, free = plan_memory(planned, longest), available_bytes()
    if longest == 1 or free is None or needed <= free:
        return []
    fits = longest
    while fits > 1 and plan_memory(planned, fits) > free:
        fits //= 2
    text = (
        f"Group of {longest} needs about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free. "
        f"Set the largest group to {fits}"
    )
    return [Problem("error", "largest_group", text)]
