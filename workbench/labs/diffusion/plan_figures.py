"""The painted plan in numbers: operations, kept features, time and likeness."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan

from workbench.diffusion.arithmetic import UnitCosts
from workbench.diffusion.plan import Plan
from workbench.figures.numbers import memory, near_one, number, seconds
from workbench.labs.diffusion.points import Point
from workbench.measure.intervals import Interval
from workbench.panels.picture import Figure, FiguresContent

FORMULA = "from formula"


def plan_figures(
    plan: Plan, point: Point | None, base: Point | None, costs: UnitCosts
) -> FiguresContent:
    """What is known of a plan, hollow where it is foreseen.

    Args:
        point, base: the plan and full sampling, as far as they are known.
    """
    share = costs.run(plan).macs / (costs.full.macs * plan.steps)
    figures = [
        Figure("Steps in full", str(len(plan.full_steps)), f"of {plan.steps}"),
        Figure("Operations", number(100 * share), "% of full", FORMULA),
        Figure("Kept features", memory(costs.kept_bytes(plan)), "a pass", FORMULA),
        _time(point),
        _speed(point, base),
        _likeness(point),
    ]
    return FiguresContent(figures)


def _time(point: Point | None) -> Figure:
    if point is None or point.seconds is None:
        return Figure("Time per picture", "–", "", "not timed yet")
    predicted = point.basis == "predicted"
    ends = "at the baseline’s rate" if predicted else _range(point.seconds)
    return Figure(
        "Time per picture",
        seconds(point.seconds.value),
        "",
        ends,
        "predicted" if predicted else "measured",
    )


def _speed(point: Point | None, base: Point | None) -> Figure:
    if point is None or base is None or point.seconds is None or base.seconds is None:
        return Figure("Speed", "–", "", "not timed yet")
    ratio = base.seconds.value / point.seconds.value
    predicted = point.basis == "predicted"
    return Figure(
        "Speed",
        number(ratio),
        "× full",
        "foreseen" if predicted else "ratio of medians",
        "predicted" if predicted else "measured",
    )


def _likeness(point: Point | None) -> Figure:
    found = None if point is None else point.quality.get("ssim")
    if found is None or point is None:
        return Figure("SSIM to full run", "–", "", "not run yet")
    if point.basis == "predicted":
        return Figure("SSIM to full run", near_one(found.value), "", "between runs", "predicted")
    return Figure("SSIM to full run", near_one(found.value), "", _range(found, near_one))


def _range(interval: Interval, write: Callable[[float], str] = seconds) -> str:
    if isnan(interval.low):
        return "one run"
    return f"{write(interval.low)} – {write(interval.high)}"
