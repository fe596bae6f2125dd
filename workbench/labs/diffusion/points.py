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
        method: the class's own name, whatever settings a comparison adds to it.
        share: its multiply-accumulates against the baseline's; NaN where nobody counts them.
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
    gmacs: float = float("nan")
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


def points_of(
    comparison: Comparison, names: Mapping[str, str], basis: str = "measured"
) -> dict[str, Point]:
    """Every method of a comparison, by its code.

    Args:
        names: the class's own name of each method, by its code.
    """
    tables = comparison.tables
    whole = _counted(tables.rows(comparison.baseline).iloc[0])
    found = {}
    for method in tables.methods:
        rows = tables.rows(method)
        first = rows.iloc[0]
        code, macs = str(first["code"]), _counted(first)
        found[code] = Point(
            code=code,
            method=names[code],
            share=macs / whole,
            quality=_qualities(comparison, method),
            seconds=_seconds(first),
            kept_bytes=_known(first, "cost.cache_bytes") or 0.0,
            peak_bytes=_known(first, "cost.peak_memory"),
            gmacs=macs / 1e9,
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


def _counted(row: Any) -> float:
    """Modelled multiply-accumulates; NaN for a method that predicts none."""
    return float(row.get("cost.macs", float("nan")))


def _known(row: Any, column: str) -> float | None:
    value = row.get(column)
    return None if value is None or not np.isfinite(value) else float(value)
