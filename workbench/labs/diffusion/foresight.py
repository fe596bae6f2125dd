"""What is said before anything runs: plans, warnings, and points foreseen from recorded trials.

Nothing here loads jax: the first chart stands before a model does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.diffusion.arithmetic import UnitCosts
from workbench.diffusion.plan import Plan
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.recorded import Recorded
from workbench.panels.view import Problem
from workbench.study.comparison import Interval
from workbench.study.method import Method

FEW_STEPS = 6


def plan_of(method: Method, steps: int) -> Plan:
    """What a method computes in a run of `steps` steps.

    Raises:
        PlanError: for settings that make no plan.
    """
    own = getattr(method.knobs, "steps", None)
    return method.plan(own or steps)  # type: ignore[attr-defined]


def warnings(method: Method, plan: Plan, steps: int, costs: UnitCosts, group: str) -> list[Problem]:
    """Plans that cannot run on this model, or are foreseen to save nothing."""
    field = getattr(method, "plan_field", "") or "steps"
    deepest = len(costs.shallow) - 1
    if plan.branch > deepest:
        text = f"Branch must be between 0 and {deepest} for this UNet. You gave {plan.branch}"
        return [Problem("error", "branch", text, group)]
    share = costs.run(plan).macs / costs.run(Plan.full(steps)).macs
    if share > 1:
        text = f"This plan computes {100 * (share - 1):.0f} % more than the baseline: it is slower"
        return [Problem("warn", field, text, group)]
    if plan.is_full and plan.steps == steps:
        text = "Every step runs in full: nothing is reused, so no time is saved"
        return [Problem("warn", field, text, group)]
    if not plan.is_full and steps < FEW_STEPS + 2:
        text = f"With {steps} steps, neighbours differ too much to share features"
        return [Problem("warn", field, text, group)]
    return []


def same_setting(recorded: Recorded, sampling: Any) -> bool:
    """Whether the recorded study ran with these sampler settings."""
    return all(getattr(sampling, name) == value for name, value in recorded.setting.items())


def shipped_points(
    recorded: Recorded, sampling: Any, live: Mapping[str, Point]
) -> dict[str, Point]:
    """Recorded points of this setting; predictions once the baseline is timed on this machine."""
    if not same_setting(recorded, sampling):
        return {}
    ratio = _speed_here(recorded, live)
    if ratio is None:
        return dict(recorded.points)
    return {code: point.scaled(ratio) for code, point in recorded.points.items()}


def _speed_here(recorded: Recorded, live: Mapping[str, Point]) -> float | None:
    """Seconds here over recorded seconds of the same run, or None before anything is timed."""
    for code, point in live.items():
        known = recorded.points.get(code)
        if (
            point.seconds
            and known
            and known.seconds
            and known.method == recorded.comparison.baseline
        ):
            return point.seconds.value / known.seconds.value
    return None


def foresee(method: Method, sampling: Any, recorded: Recorded, live: Mapping[str, Point]) -> Point:
    """A point nobody ran: counted operations, time at the baseline's rate, quality interpolated.

    The quality is read off the recorded runs of the same method by their share of operations; a
    method without recorded runs has none.
    """
    plan = plan_of(method, sampling.steps)
    whole = recorded.costs.run(Plan.full(sampling.steps)).macs
    passes = 1 if sampling.guidance == 1 else 2
    cost = recorded.costs.run(plan)
    share = cost.macs / whole
    rate = recorded.seconds / _recorded_macs(recorded) * (_speed_here(recorded, live) or 1.0)
    quality = {}
    ssim = _interpolated(method.name.split(",")[0], share, recorded)
    if ssim is not None:
        quality["ssim"] = Interval(ssim, float("nan"), float("nan"), 0)
    seconds = rate * cost.macs * passes
    return Point(
        code=method.code(),
        method=method.name,
        share=share,
        quality=quality,
        seconds=Interval(seconds, seconds, seconds, 0),
        kept_bytes=float(recorded.costs.kept_bytes(plan) * passes),
        gmacs=cost.macs * passes / 1e9,
        basis="predicted",
    )


def _recorded_macs(recorded: Recorded) -> float:
    base = next(p for p in recorded.points.values() if p.method == recorded.comparison.baseline)
    return base.gmacs * 1e9


def _interpolated(family: str, share: float, recorded: Recorded) -> float | None:
    same = [p for p in recorded.points.values() if p.method.split(",")[0] == family]
    known = sorted((p.share, p.ssim) for p in same if np.isfinite(p.ssim))
    if not known:
        return None
    shares, values = zip(*known, strict=True)
    # The full run is every method's end: all operations, no difference.
    if shares[-1] < 1:
        shares, values = (*shares, 1.0), (*values, 1.0)
    return float(np.interp(share, shares, values))


def device_label() -> str:
    """The device in use, once jax is loaded; processor only before."""
    if "jax" not in sys.modules:
        return ""
    from workbench.measure import device

    return device.label()
