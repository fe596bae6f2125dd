"""From evidence to a choice, which may be that no plan is worth it."""

from __future__ import annotations

from typing import Any

from workbench.diffusion.automatic.evidence import Evidence
from workbench.diffusion.automatic.judging import fewer_steps
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.automatic.surveying import survey, timed_again
from workbench.diffusion.automatic.trials import Found, Trials, within_budget, within_tolerance
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.plan import Plan
from workbench.progress import Report, part, silent

DISTURBED = (
    "The clock was disturbed, for partial steps seemed slower than full ones: operations stand "
    "for time."
)
FEW = 4
"""Steps up to which neighbouring steps have little in common."""


def choose(
    pipeline: Pipeline, knobs: Any, evidence: Evidence, report: Report = silent
) -> dict[str, Any]:
    """What `AutomaticPlan.choice` gives, measured as far as the evidence lacks it.

    Steps are timed once more where the clock was disturbed; where it is still, operations stand for
    time and the reason says so.

    Raises:
        Cancelled: from `report`; the evidence is saved as far as it goes.
    """
    if pipeline.steps < 2:
        return _none("One step has no step before it to reuse.", pipeline)
    if evidence.survey is None:
        evidence.survey = survey(pipeline, evidence.seeds, part(report, 0, 2)).record()
        evidence.save()
    found = Survey.of_record(evidence.survey)
    if knobs.cost == "seconds" and not found.well_timed:
        found = timed_again(pipeline, found)
        evidence.survey = found.record()
        evidence.save()
    timed = knobs.cost == "seconds" and found.well_timed
    costs = found.seconds if timed else found.macs
    trials = Trials(pipeline, evidence.seeds, evidence.errors, evidence.save)
    later = part(report, 1, 2)
    if knobs.goal == "time":
        best = within_budget(found, costs, trials, knobs.budget, knobs.tries, later)
        limit = f"within {100 * knobs.budget:.0f} % of the time"
    else:
        best = within_tolerance(found, costs, trials, knobs.tolerance, knobs.tries, later)
        limit = f"that changes the final sample by at most {100 * knobs.tolerance:.3g} %"
    if best is None:
        return _none(f"There is no plan {limit}.", pipeline)
    choice = _judged(pipeline, found, trials, best, knobs.tolerance)
    if knobs.cost == "seconds" and not timed:
        choice["reason"] += f" {DISTURBED}"
    return choice


def _judged(
    pipeline: Pipeline, found: Survey, trials: Trials, best: Found, tolerance: float
) -> dict[str, Any]:
    """The plan, unless it changes too much or a shorter full run is nearer at the same cost."""
    plan = best.choices.plan(found.reuses)
    fewer = fewer_steps(pipeline.scheduler, pipeline.steps, best.share)
    rival = trials.error(Plan.full(fewer))
    facts = {
        "share": best.share,
        "expected": best.expected,
        "error": best.error,
        "tried": best.tried,
        "fewer": {"steps": fewer, "error": rival},
        "nearest": plan.record(),
    }
    said = f"The nearest plan changes the final sample by {_percent(best.error)}"
    if best.error > tolerance:
        text = f"{said}, more than the {_percent(tolerance)} allowed."
        return _none(text, pipeline) | facts
    if rival <= best.error:
        text = f"{said}; {fewer} full steps take as long and change it by {_percent(rival)}."
        return _none(text, pipeline) | facts
    reason = (
        f"{said} at {100 * best.share:.0f} % of the time; {fewer} full steps, as long, by "
        f"{_percent(rival)}."
    )
    return {"plan": plan.record(), "reason": reason, "advice": "", **facts}


def _none(reason: str, pipeline: Pipeline) -> dict[str, Any]:
    helps = ["lower precision", "larger batches"]
    if pipeline.vae is not None:
        helps.append("a lighter VAE, which decodes each picture once")
    if pipeline.steps > FEW:
        helps.append("fewer steps")
    *most, last = helps
    advice = f"What would help instead: {', '.join(most)} or {last}."
    if pipeline.steps <= FEW:
        reason += f" In {pipeline.steps} steps neighbouring steps have little in common."
    return {"plan": None, "reason": reason, "advice": advice}


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
