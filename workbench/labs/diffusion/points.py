"""Points: one method with its settings as one row of every chart of the lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.measure.intervals import Interval
from workbench.study.comparison import Comparison


@dataclass(frozen=True)
class Point:
    """What is known of one method with its settings.

    Args:
        code: the call that makes the method; names the point.
        share: its multiply-accumulates against the baseline's.
        quality: mean of each quality with its interval, by column without prefix.
        kept_bytes: features held between steps, modelled.
        peak_bytes: measured in a fresh process; None where it was not.
        seconds: time per picture with its spread; None where not timed.
        basis: "measured" here and now, "recorded" earlier, or "predicted".
    """

    code: str
    method: str
    share: float
    quality: Mapping[str, Interval] = field(default_factory=dict)
    seconds: Interval | None = None
    kept_bytes: float = 0.0
    peak_bytes: float | None = None
    gmacs: float = 0.0
    basis: str = "measured"

    @property
    def ssim(self) -> float:
        """NaN where unknown."""
        return self.quality["ssim"].value if "ssim" in self.quality else float("nan")

    def keeping(self, before: Point | None) -> Point:
        """This point, with the time and memory known before where it has none yet."""
        if before is None:
            return self
        return replace(
            self,
            seconds=self.seconds or before.seconds,
            peak_bytes=self.peak_bytes or before.peak_bytes,
        )

    def scaled(self, seconds: float) -> Point:
        """The same point as a prediction, its time multiplied."""
        if self.seconds is None:
            return replace(self, basis="predicted")
        return replace(self, seconds=self.seconds.times(seconds), basis="predicted")


def points_of(comparison: Comparison, basis: str = "measured") -> dict[str, Point]:
    """Every method of a comparison, by its code."""
    tables = comparison.tables
    base = tables.rows(comparison.baseline).iloc[0]
    found = {}
    for method in tables.methods:
        rows = tables.rows(method)
        first = rows.iloc[0]
        found[str(first["code"])] = Point(
            code=str(first["code"]),
            method=method,
            share=float(first["cost.macs"] / base["cost.macs"]),
            quality=_qualities(comparison, method),
            seconds=_seconds(first),
            kept_bytes=float(first.get("cost.cache_bytes", 0.0)),
            peak_bytes=_known(first, "cost.peak_memory"),
            gmacs=float(first["cost.macs"]) / 1e9,
            basis=basis,
        )
    return found


def _qualities(comparison: Comparison, method: str) -> dict[str, Interval]:
    columns = [name for name in comparison.tables.columns if name.startswith("quality.")]
    return {c.removeprefix("quality."): comparison.value(method, c) for c in columns}


def _seconds(first: Any) -> Interval | None:
    value = _known(first, "cost.latency")
    if value is None:
        return None
    return Interval(value, float(first["cost.latency_low"]), float(first["cost.latency_high"]), 0)


def _known(row: Any, column: str) -> float | None:
    value = row.get(column)
    return None if value is None or not np.isfinite(value) else float(value)
