"""Comparison: paired differences with intervals, a noise floor, and one sentence of verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.study.study import Outputs
from workbench.study.tables import Column, TableError, Tables

if TYPE_CHECKING:
    import pandas as pd

Word = Literal["worth it", "not worth it", "trade-off", "not decided"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; the ends are NaN where too few values speak."""

    value: float
    low: float
    high: float
    count: int

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.low))

    def above(self, threshold: float) -> bool:
        return self.known and self.low > threshold

    def below(self, threshold: float) -> bool:
        return self.known and self.high < threshold


@dataclass(frozen=True)
class Verdict:
    word: Word
    sentence: str


def paired(differences: np.ndarray) -> Interval:
    """Mean of paired differences with Student's t interval (95 %, n - 1 degrees of freedom)."""
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=float)
    values = values[np.isfinite(values)]
    count = len(values)
    if count == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    mean = float(values.mean())
    if count < 3:
        return Interval(mean, float("nan"), float("nan"), count)
    half = float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count))
    return Interval(mean, mean - half, mean + half, count)


@dataclass(frozen=True)
class Comparison:
    """Every method of `tables` against the baseline, seed by seed and round by round.

    Args:
        outputs: what each method made, by method name; empty for tables read from files.
    """

    tables: Tables
    baseline: str
    outputs: Mapping[str, Outputs] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.baseline not in self.tables.methods:
            raise TableError(f"no method {self.baseline!r}; there are {self.tables.methods}")

    @property
    def others(self) -> list[str]:
        return [name for name in self.tables.methods if name != self.baseline]

    @property
    def qualities(self) -> list[str]:
        """Quality columns, the deciding one first."""
        columns = [name for name in self.tables.columns if name.startswith("quality.")]
        return [name for name in columns if self.tables.columns[name].better]

    def difference(self, method: str, column: str) -> Interval:
        """Method minus baseline over the seeds both have."""
        wanted = ["seed", column]
        both = self.tables.rows(method)[wanted].merge(
            self.tables.rows(self.baseline)[wanted], on="seed", suffixes=("", ".baseline")
        )
        if self.tables.columns[column].spread and column.startswith("quality."):
            return self._population(method, column)
        return paired((both[column] - both[f"{column}.baseline"]).to_numpy())

    def _population(self, method: str, column: str) -> Interval:
        """Difference of two numbers that each describe all seeds; their intervals are added."""
        low, high = self.tables.columns[column].spread
        mine, base = self.tables.rows(method).iloc[0], self.tables.rows(self.baseline).iloc[0]
        value = float(mine[column] - base[column])
        return Interval(
            value,
            float(mine[low] - base[high]),
            float(mine[high] - base[low]),
            len(self.tables.rows(method)),
        )

    def _rounds(self, method: str, name: str = "cost.latency") -> np.ndarray:
        return self.tables.curve(method, name).sort_values("x")["y"].to_numpy(dtype=float)

    @cached_property
    def noise(self) -> float | None:
        """Relative time difference that the baseline shows against itself (A/A), or None."""
        first = self._rounds(self.baseline)
        again = self._rounds(self.baseline, "cost.latency.again")
        if len(first) < 3 or len(first) != len(again):
            return None
        floor = paired(np.log(again / first))
        return float(np.expm1(max(abs(floor.low), abs(floor.high))))

    def speedup(self, method: str) -> Interval:
        """Baseline time over method time, paired by round (geometric mean)."""
        mine, base = self._rounds(method), self._rounds(self.baseline)
        if len(mine) != len(base) or not len(mine):
            return Interval(float("nan"), float("nan"), float("nan"), 0)
        logs = paired(np.log(base / mine))
        value, low, high = np.exp([logs.value, logs.low, logs.high])
        return Interval(float(value), float(low), float(high), logs.count)

    def summary(self) -> pd.DataFrame:
        """One row per method and metric: value, difference to the baseline, interval."""
        import pandas as pd

        rows = []
        for method in self.tables.methods:
            for column in self.qualities:
                mean = float(self.tables.rows(method)[column].mean())
                change = self.difference(method, column)
                rows.append((method, column, mean, change.value, change.low, change.high))
            if len(self._rounds(method)):
                gain = self.speedup(method)
                middle = float(np.median(self._rounds(method)))
                rows.append((method, "cost.latency", middle, gain.value, gain.low, gain.high))
        names = ["method", "metric", "value", "against_baseline", "low", "high"]
        return pd.DataFrame(rows, columns=names)

    def verdict(self, method: str) -> Verdict:
        """Worth it or not, in one sentence that gives the reason.

        Faster means: the whole interval of the speed-up lies above the noise floor. As good
        means: the whole interval of the deciding quality lies within its tolerance.
        """
        gain, noise = self.speedup(method), self.noise
        if not gain.known or noise is None:
            return Verdict("not decided", f"{method} is not timed yet, so nothing is decided.")
        timing = f"{gain.value:.2f} × the speed of {self.baseline} ({gain.low:.2f}–{gain.high:.2f})"
        if not gain.above(1 + noise):
            slower = gain.below(1 - noise)
            reason = "it is slower" if slower else f"the noise floor is {100 * noise:.1f} %"
            return Verdict("not worth it", f"{method} runs at {timing}: {reason}.")
        lost = self._losses(method)
        if not self.qualities:
            return Verdict("not decided", f"{method} runs at {timing}; no quality was measured.")
        if lost:
            return Verdict("trade-off", f"{method} runs at {timing}, but {lost}.")
        kept = _name(self.qualities[0], self.tables.columns[self.qualities[0]])
        return Verdict("worth it", f"{method} runs at {timing} and keeps {kept}.")

    def _losses(self, method: str) -> str:
        """What the deciding quality loses beyond its tolerance, in words; empty if nothing."""
        if not self.qualities:
            return ""
        column = self.qualities[0]
        meaning = self.tables.columns[column]
        change = self.difference(method, column)
        sign = 1 if meaning.better == "higher" else -1
        worst = sign * (change.low if sign > 0 else change.high)
        if not change.known:
            return f"{_name(column, meaning)} has too few seeds for an interval"
        if worst >= -meaning.tolerance:
            return ""
        unit = f" {meaning.unit}" if meaning.unit else ""
        return (
            f"{_name(column, meaning)} changes by {change.value:+.3g}{unit} "
            f"({change.low:+.3g} to {change.high:+.3g})"
        )

    def _repr_html_(self) -> str:
        import html

        lines = "".join(f"<p>{html.escape(self.verdict(m).sentence)}</p>" for m in self.others)
        return lines + self.summary().to_html(index=False, float_format=lambda v: f"{v:.4g}")


def _name(column: str, meaning: Column) -> str:
    return meaning.label or column.removeprefix("quality.").replace("_", " ")
