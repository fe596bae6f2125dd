"""Points: one method with its settings as one row of every chart of the lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.measure.cost import Cost
from workbench.measure.intervals import Interval
from workbench.panels.picture import Basis
from workbench.study.comparison import Comparison
from workbench.study.utilisation import PEAKS, SENSOR

UNKNOWN = Cost(basis="measured")


@dataclass(frozen=True)
class Point:
    """What is known of one method with its settings.

    Args:
        code: the call that makes the method; names the point.
        method: the class's own name, whatever settings a comparison adds to it.
        share: its multiply-accumulates against the baseline's; NaN where nobody counts them.
        quality: mean of each quality with its interval, by column without prefix.
        kept_bytes: features held between steps, modelled.
        seconds: time per picture with its spread; None where not timed.
        cost: every other cost that was measured: peak memory, use of the device, energy.
        sources: what use was held against and energy read from, by column of the tables.
        basis: "measured" here and now, "recorded" earlier, or "predicted".
    """

    code: str
    method: str
    share: float
    quality: Mapping[str, Interval] = field(default_factory=dict)
    seconds: Interval | None = None
    kept_bytes: float = 0.0
    cost: Cost = UNKNOWN
    sources: Mapping[str, str] = field(default_factory=dict)
    gmacs: float = float("nan")
    basis: Basis = "measured"

    @property
    def peak_bytes(self) -> float | None:
        """Peak memory in a fresh process; None where it was not measured."""
        return self.cost.peak_memory

    @property
    def ssim(self) -> float:
        """NaN where unknown."""
        return self.quality["ssim"].value if "ssim" in self.quality else float("nan")

    def keeping(self, before: Point | None) -> Point:
        """This point, with the costs known before where it has none yet."""
        if before is None:
            return self
        return replace(
            self,
            seconds=self.seconds or before.seconds,
            cost=before.cost.replace(**self.cost.known()),
            sources={**before.sources, **self.sources},
        )

    def scaled(self, seconds: float) -> Point:
        """The same point as a prediction for another machine, its time multiplied."""
        known = None if self.seconds is None else self.seconds.times(seconds)
        cost = UNKNOWN.replace(peak_memory=self.peak_bytes)
        return replace(self, seconds=known, cost=cost, sources={}, basis="predicted")


def points_of(
    comparison: Comparison, names: Mapping[str, str], basis: Basis = "measured"
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
            cost=_measured(comparison, first),
            sources={c: str(first[c]) for c in (PEAKS, SENSOR) if c in first},
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


def _measured(comparison: Comparison, first: Any) -> Cost:
    about = comparison.tables.columns
    known = [name for name in about if about[name].basis == "measured"]
    return Cost.from_columns({name: first[name] for name in known}, basis="measured")


def _counted(row: Any) -> float:
    """Modelled multiply-accumulates; NaN for a method that predicts none."""
    return float(row.get("cost.macs", float("nan")))


def _known(row: Any, column: str) -> float | None:
    value = row.get(column)
    return None if value is None or not np.isfinite(value) else float(value)
