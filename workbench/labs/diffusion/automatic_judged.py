"""Automatic plans held against every hand-made list: as shipped, or judged here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import shipped
from workbench.diffusion.plan import Plan
from workbench.measure.intervals import Interval, mean
from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.diffusion.automatic.judging import Front
    from workbench.diffusion.automatic.survey import Survey
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.schedulers import Scheduler

FOLDER = "data/automatic-plan"
AUTOMATIC, HAND_MADE, FEWER = "automatic", "hand-made", "fewer steps"


@dataclass(frozen=True)
class Contender:
    """One plan that was judged.

    Args:
        origin: "automatic", "hand-made" or "fewer steps".
        operations, seconds: cost of the run, a share of the full one's; None where not known.
        ssim: to the full run, by judging seed.
    """

    origin: str
    name: str
    plan: Plan
    operations: float | None
    seconds: float | None
    ssim: tuple[float, ...]

    @property
    def key(self) -> str:
        """Names it on the screen."""
        return f"{self.origin}: {self.name}"

    @property
    def quality(self) -> Interval:
        """Mean over seeds with its 95 % interval."""
        return mean(self.ssim)


@dataclass(frozen=True)
class Judged:
    """Everything that was judged at one setting.

    Args:
        verdicts: sentences, by what was compared.
        choice: of the search: plan, reason and advice; see `AutomaticPlan.choice`.
        short: the same in a run of few steps; None where it was not asked.
        drift: relative change of each block at each step.
        setting, device, date: of the judging.
    """

    contenders: tuple[Contender, ...]
    verdicts: Mapping[str, str]
    choice: Mapping[str, Any] | None
    short: Mapping[str, Any] | None
    drift: Mapping[str, Sequence[float | None]]
    setting: str
    device: str
    date: str

    def of(self, origin: str) -> list[Contender]:
        """All of one origin."""
        return [one for one in self.contenders if one.origin == origin]

    def named(self, key: str) -> Contender | None:
        """The contender of a key; None where there is none."""
        return next((one for one in self.contenders if one.key == key), None)


@cache
def shipped_judging() -> Judged | None:
    """What shipped; None where nothing did."""
    try:
        place = shipped.path(f"{FOLDER}/judged.json")
    except FileNotFoundError:
        return None
    return read(place.parent)


def read(place: Path) -> Judged:
    """What `workbench.diffusion.automatic.record` wrote into a folder."""
    about = json.loads((place / "judged.json").read_text(encoding="utf-8"))
    evidence = json.loads((place / "evidence.json").read_text(encoding="utf-8"))
    return Judged(
        contenders=tuple(
            Contender(
                row["origin"],
                row["name"],
                Plan.of_record(row["plan"]),
                row["operations"],
                row["seconds"],
                tuple(row["ssim"]),
            )
            for row in about["plans"]
        ),
        verdicts={name: found["sentence"] for name, found in about["verdicts"].items()},
        choice=about["default"],
        short=about["short"],
        drift=evidence["survey"]["drift"],
        setting=about["setting"],
        device=about["device"],
        date=about["date"],
    )


def rivals(
    plan: Plan, survey: Survey, count: int, scheduler: Scheduler
) -> list[tuple[str, str, Plan]]:
    """Origin, name and plan of what a plan is held against: the hand-made lists nearest in cost,
    no dearer ones before cheaper ones, and the full run that takes as long.
    """
    from workbench.diffusion.automatic.judging import fewer_steps, share

    own = share(plan, survey, survey.seconds) or 1.0
    nearest = sorted(priced(plan.steps, survey), key=lambda one: abs(one[0] - own))[:count]
    fewer = fewer_steps(scheduler, plan.steps, own)
    found = [(HAND_MADE, name, other) for _, name, other in sorted(nearest, key=lambda o: o[0])]
    return [*found, (FEWER, f"{fewer} steps", Plan.full(fewer))]


def priced(steps: int, survey: Survey) -> list[tuple[float, str, Plan]]:
    """Share of the time, name and plan of every hand-made list that saves any."""
    from workbench.diffusion.automatic.judging import hand_made, share

    found = []
    for name, plan in hand_made(steps).items():
        cost = share(plan, survey, survey.seconds)
        if cost is not None and cost < 1:
            found.append((cost, name, plan))
    return found


def judge(
    pipeline: Pipeline,
    plans: Sequence[tuple[str, str, Plan]],
    survey: Survey,
    seeds: Sequence[int],
    known: dict[str, tuple[float, ...]],
    report: Report,
) -> list[Contender]:
    """Sample each plan on the seeds and hold its pictures against the full run's.

    Args:
        known: likeness by plan and seeds, kept between runs; new ones are added.

    Raises:
        Cancelled: from `report`, between two plans; what was judged is kept in `known`.
    """
    from workbench.diffusion.automatic.judging import share

    reference: np.ndarray | None = None
    found = []
    for place, (origin, name, plan) in enumerate(plans):
        report(place, len(plans), f"Judging {name}")
        key = f"{pipeline.fingerprint} {list(seeds)} {plan!r}"
        if key not in known:
            if reference is None:
                reference = _pictures(pipeline, seeds)
            known[key] = _likeness(pipeline, plan, seeds, reference)
        whole = plan.steps / pipeline.steps
        costs = [share(plan, survey, by) for by in (survey.macs, survey.seconds)]
        shares = [None if cost is None else cost * whole for cost in costs]
        found.append(Contender(origin, name, plan, shares[0], shares[1], known[key]))
    report(len(plans), len(plans), "Judged")
    return found


def _likeness(
    pipeline: Pipeline, plan: Plan, seeds: Sequence[int], reference: np.ndarray
) -> tuple[float, ...]:
    from workbench.diffusion.fidelity import ssim

    planned = pipeline.with_sampling(steps=plan.steps).with_plan(plan)
    return tuple(float(value) for value in ssim(_pictures(planned, seeds), reference))


def _pictures(pipeline: Pipeline, seeds: Sequence[int], batch: int = 8) -> np.ndarray:
    from workbench.diffusion.automatic.room import at_once
    from workbench.diffusion.costs import unit_costs
    from workbench.diffusion.driver import sample

    costs = unit_costs(pipeline.shape)
    each = costs.group_bytes(pipeline.plan.longest, pipeline.passes, 1)
    batch = at_once(batch, each)
    groups = [tuple(seeds[i : i + batch]) for i in range(0, len(seeds), batch)]
    made = [sample(pipeline, pipeline.inputs(group))["image"] for group in groups]
    return np.concatenate([np.asarray(image) for image in made])


def verdict(found: Sequence[Contender]) -> str:
    """One sentence: the automatic plan against the best rival that takes no longer.

    The rival is picked on the same seeds, in its favour.
    """
    own = next((one for one in found if one.origin == AUTOMATIC), None)
    if own is None or own.seconds is None:
        return ""
    others = [
        one for one in found if one is not own and (one.seconds or np.inf) <= own.seconds + 1e-9
    ]
    if not others:
        return "No rival that was judged takes as little time."
    best = max(others, key=lambda one: one.quality.value)
    gap = mean(np.array(own.ssim) - np.array(best.ssim))
    ends = f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}, {gap.count} seeds)"
    against = f"Against the best rival in at most its time, {best.name}: SSIM {ends}"
    if gap.above(0):
        return f"The automatic plan is nearer to the full run. {against}."
    if gap.below(0):
        return f"The rival is nearer to the full run. {against}."
    return f"No difference is shown: the interval covers zero. {against}."


def fronts(found: Sequence[Contender], well_timed: bool) -> dict[str, str]:
    """A sentence for each cost: the area that all automatic plans dominate against the hand-made
    lists', their paired difference with its 95 % interval.

    Args:
        found: every automatic plan that was searched and every hand-made list.
        well_timed: whether the clock was to trust; else operations alone are compared.
    """
    from workbench.diffusion.automatic.judging import difference, sentence

    said = {}
    for by in ("operations", "seconds") if well_timed else ("operations",):
        ours, theirs = (_front(found, origin, by) for origin in (AUTOMATIC, HAND_MADE))
        if ours is None or theirs is None:
            continue
        plans = "1 automatic plan" if len(ours.names) == 1 else f"{len(ours.names)} automatic plans"
        said[f"{HAND_MADE}, {by} saved"] = (
            f"{sentence(difference(ours, theirs), ours, theirs)} {plans} against "
            f"{len(theirs.names)} lists."
        )
    return said


def _front(found: Sequence[Contender], origin: str, by: str) -> Front | None:
    """The plans of one origin whose cost is known; None where there are none."""
    from workbench.diffusion.automatic.judging import Front

    own = [(one, getattr(one, by)) for one in found if one.origin == origin]
    known = [(one, cost) for one, cost in own if cost is not None]
    if not known:
        return None
    return Front(
        tuple(one.name for one, _ in known),
        np.array([1 - cost for _, cost in known]),
        np.array([one.ssim for one, _ in known]),
    )
