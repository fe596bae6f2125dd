"""What is said before anything runs: plans, warnings, and points foreseen from recorded trials.

Nothing here loads jax: the first chart stands before a model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from workbench.diffusion.plan import Plan
from workbench.diffusion.planned import PlannedSampling
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.methods import BASELINE
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.recorded import Recorded
from workbench.measure.intervals import Interval
from workbench.study.method import Method


def plan_of(method: Method, steps: int) -> Plan:
    """What a method computes in a run of `steps` steps: everything, where it is more than a plan.

    Raises:
        PlanError: for settings that make no plan.
    """
    if not isinstance(method, PlannedSampling):
        return Plan.full(steps)
    return method.plan(method.run_steps(steps))


@dataclass(frozen=True)
class Foresight:
    """Points foreseen for one setting of the sampler, from what was recorded or run.

    Args:
        recorded: the shipped study, where it is of this model; else None.
        live: points measured here at this setting, by code.
    """

    facts: ModelFacts
    recorded: Recorded | None
    sampling: Any
    live: Mapping[str, Point]

    @property
    def as_recorded(self) -> bool:
        """Whether the recorded study ran with these sampler settings."""
        known = self.recorded.setting.items() if self.recorded else ()
        return bool(known) and all(getattr(self.sampling, name) == v for name, v in known)

    @cached_property
    def shipped(self) -> dict[str, Point]:
        """Recorded points; predictions once the baseline is timed on this machine."""
        if self.recorded is None or not self.as_recorded:
            return {}
        here = self._baseline(self.live)
        if here is None or here.seconds is None:
            return dict(self.recorded.points)
        ratio = here.seconds.value / self.recorded.seconds
        return {code: point.scaled(ratio) for code, point in self.recorded.points.items()}

    def point(self, method: Method) -> Point:
        """What was measured here, else recorded, else foreseen."""
        code = method.code()
        return self.live.get(code) or self.shipped.get(code) or self.foresee(method)

    def foresee(self, method: Method) -> Point:
        """Counted operations; time and quality read off runs of the method.

        They are those of the same method's runs at the same share of operations, between them
        interpolated: the quality itself, and the time over that of as many operations at the
        baseline's rate. A method without runs has no quality and that rate; without any baseline
        timed there is no time. Of a method that is more than a plan nothing is known before it
        runs.
        """
        if not isinstance(method, PlannedSampling):
            name = type(method).name
            return Point(code=method.code(), method=name, share=np.nan, basis="predicted")
        costs, plan = self.facts.costs, plan_of(method, self.sampling.steps)
        passes = 1 if self.sampling.guidance == 1 else 2
        macs = costs.run(plan).macs
        share = macs / costs.run(Plan.full(self.sampling.steps)).macs
        ssim, rate = self._ssim(method, share), self._seconds_per_mac
        seconds = None if rate is None else self._pace(method, share) * rate * macs * passes
        quality = {} if ssim is None else {"ssim": _exactly(ssim)}
        return Point(
            code=method.code(),
            method=type(method).name,
            share=share,
            quality=quality,
            seconds=None if seconds is None else _exactly(seconds),
            kept_bytes=float(costs.kept_bytes(plan) * passes),
            gmacs=macs * passes / 1e9,
            basis="predicted",
        )

    @property
    def _seconds_per_mac(self) -> float | None:
        for points in (self.live, self.recorded.points if self.recorded else {}):
            base = self._baseline(points)
            if base is not None and base.seconds is not None:
                return base.seconds.value / (base.gmacs * 1e9)
        return None

    def _baseline(self, points: Mapping[str, Point]) -> Point | None:
        return next((p for p in points.values() if p.method == BASELINE.name), None)

    def _pace(self, method: Method, share: float) -> float:
        """Time over that of as many operations at the baseline's rate."""
        known = {}
        for points in (self.recorded.points if self.recorded else {}, self.live):
            base = self._baseline(points)
            if base is None or base.seconds is None:
                continue
            for code, p in points.items():
                if p.method == type(method).name and p.seconds is not None and p.share > 0:
                    known[code] = p.share, p.seconds.value / (p.share * base.seconds.value)
        # The full run is every method's end: all operations, at the baseline's rate.
        shares, paces = zip(*sorted([*known.values(), (1.0, 1.0)]), strict=True)
        return float(np.interp(share, shares, paces))

    def slower(self, method: PlannedSampling) -> str:
        """That a plan of fewer operations takes longer than the baseline, if its runs say so."""
        share = self.foresee(method).share
        ratio = share * self._pace(method, share)
        if share >= 1 or ratio <= 1:
            return ""
        return (
            f"By the times of other runs of {method.name} this plan takes {ratio:.2f} times as "
            f"long as the baseline, though it computes {100 * (1 - share):.0f} % less"
        )

    def _ssim(self, method: Method, share: float) -> float | None:
        runs = {**(self.recorded.points if self.recorded else {}), **self.live}
        same = [p for p in runs.values() if p.method == type(method).name]
        known = sorted((p.share, p.ssim) for p in same if np.isfinite([p.share, p.ssim]).all())
        if not known:
            return None
        # The full run is every method's end: all operations, no difference.
        ends = [*known, (1.0, 1.0)] if known[-1][0] < 1 else known
        shares, values = zip(*ends, strict=True)
        return float(np.interp(share, shares, values))


def _exactly(value: float) -> Interval:
    """A modelled number: no interval."""
    return Interval(value, float("nan"), float("nan"), 0)


def device_label() -> str:
    """The device in use, once jax computes; nothing before."""
    from workbench.measure import device

    return device.label() if device.devices_in_use() else ""
