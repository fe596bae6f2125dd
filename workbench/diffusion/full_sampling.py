"""Full sampling: every step runs the whole UNet. The baseline, and with fewer steps a rival."""

from __future__ import annotations

from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob


class FullSampling(PlannedSampling):
    """All steps in full; `steps` overrides the pipeline's own number."""

    name = "Full sampling"
    version = "1"
    slot = 0

    class Knobs(BaseKnobs):
        steps: int | None = knob(
            None,
            ge=1,
            le=1000,
            unit="steps",
            help="Sampling steps; empty means as many as the study asks for. Fewer steps are the "
            "cheapest acceleration there is, and the rival every other one has to beat.",
        )

    def run_steps(self, steps: int) -> int:
        return self.knobs.steps or steps

    def plan(self, steps: int) -> Plan:
        return Plan.full(steps)


class FewerSteps(FullSampling):
    """Full sampling with a smaller number of steps, held against the baseline's own number."""

    name = "Fewer steps"
    version = "1"

    class Knobs(BaseKnobs):
        steps: int = knob(
            20,
            ge=1,
            le=200,
            unit="steps",
            label="Steps instead",
            help="A shorter run of the same sampler, the rival every plan has to beat.",
        )
