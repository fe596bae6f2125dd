"""What plans really do to the final sample, measured on the search seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from workbench.diffusion.automatic.room import groups
from workbench.diffusion.automatic.search import Choices, best, neighbours
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.costs import unit_costs
from workbench.diffusion.driver import sample
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.plan import Plan
from workbench.progress import Report, silent

STARTS = 3
"""Plans the dynamic program proposes for one budget, of different kits."""
BUDGETS = tuple(round(0.05 * k, 2) for k in range(2, 20))
"""Shares of the full cost tried where the quality is given, 10 % to 95 %."""


class Trials:
    """Final error of plans against the full run of the same seeds; each plan is sampled once.

    Args:
        pipeline: sampling in full.
        seeds: pictures per plan.
        known: errors measured before, by the plan's text; new ones are added.
        save: called after each new one, so that a broken search goes on where it was.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        seeds: tuple[int, ...],
        known: dict[str, float],
        save: Callable[[], None] = lambda: None,
    ):
        self.pipeline, self.seeds, self.known, self.save = pipeline, seeds, known, save

    def error(self, plan: Plan) -> float:
        """||x - x*|| / ||x*|| of the final sample, a mean over seeds.

        A plan of fewer steps is a shorter run of the same sampler.
        """
        name = repr(plan)
        if name not in self.known:
            gap = self._final(plan) - self._reference
            size = np.linalg.norm(self._reference, axis=1)
            self.known[name] = float(np.mean(np.linalg.norm(gap, axis=1) / size))
            self.save()
        return self.known[name]

    def _final(self, plan: Plan) -> Float[np.ndarray, "N D"]:
        pipeline = self.pipeline.with_sampling(steps=plan.steps).with_plan(plan)
        # The sample alone is compared: decoding it would cost more than a short plan.
        latent = replace(pipeline, vae=None)
        costs, longest = unit_costs(pipeline.shape), plan.longest
        together = groups(self.seeds, costs.group_bytes(longest, pipeline.passes, 1))
        made = [sample(latent, pipeline.inputs(group))["latents"][:, -1] for group in together]
        return np.concatenate(made).reshape(len(self.seeds), -1).astype(np.float64)

    @cached_property
    def _reference(self) -> Float[np.ndarray, "N D"]:
        return self._final(Plan.full(self.pipeline.steps))


@dataclass(frozen=True)
class Found:
    """The best plan that was measured for a budget.

    Args:
        share: of the full run's cost, by the measure the search was given.
        expected, error: of the final sample, by the survey and on the search seeds.
        tried: plans sampled for it.
    """

    choices: Choices
    share: float
    expected: float
    error: float
    tried: int


def within_budget(
    survey: Survey,
    costs: Sequence[float],
    trials: Trials,
    budget: float,
    tries: int,
    report: Report = silent,
) -> Found | None:
    """The plan of least measured error within a share of the full cost; None where nothing fits.

    First the survey's best plan of each kit, then changes of the best one as long as tries last.

    Raises:
        Cancelled: from `report`, between two plans.
    """
    errors, tried = survey.errors(), 0
    total = STARTS + tries

    def measured(choices: Choices) -> float:
        nonlocal tried
        report(min(tried, total), total, f"trying plans for {100 * budget:.0f} % of the time")
        tried += 1
        return trials.error(choices.plan(survey.reuses))

    starts = [choices for choices, _ in best(survey, costs, budget, STARTS)]
    if not starts:
        return None
    known = {choices: measured(choices) for choices in starts}
    at = min(known, key=lambda choices: known[choices])
    draw = np.random.default_rng(0)
    barren = 0
    while tried < total and barren < 3:
        fresh = [c for c in neighbours(at, draw, 4) if c not in known and c.share(costs) <= budget]
        barren = 0 if fresh else barren + 1
        for choices in fresh:
            known[choices] = measured(choices)
            if known[choices] < known[at]:
                at = choices
                break
    report(total, total, f"trying plans for {100 * budget:.0f} % of the time")
    return Found(at, at.share(costs), at.error(errors), known[at], tried)


def within_tolerance(
    survey: Survey,
    costs: Sequence[float],
    trials: Trials,
    tolerance: float,
    tries: int,
    report: Report = silent,
) -> Found | None:
    """The cheapest plan whose measured error is at most `tolerance`; None where there is none.

    The budget is halved in on: errors fall as it grows.
    """
    low, high, found = 0, len(BUDGETS) - 1, None
    while low <= high:
        middle = (low + high) // 2
        tried = within_budget(survey, costs, trials, BUDGETS[middle], tries // 4, report)
        if tried is not None and tried.error <= tolerance:
            found, high = tried, middle - 1
        else:
            low = middle + 1
    return found
