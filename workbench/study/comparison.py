"""Comparison: paired differences with intervals, a noise floor, and one sentence of verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.measure import intervals, timing
from workbench.measure.intervals import Interval
from workbench.study.study import Outputs
from workbench.study.tables import Column, TableError, Tables

if TYPE_CHECKING:
    import pandas as pd

Word = Literal["worth it", "not worth it", "trade-off", "not decided"]


@dataclass(frozen=True)
class Verdict:
    word: Word
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Every method of `tables` against the baseline, seed by seed and round by round.

    Args:
        outputs: what each method made, by method name; empty for tables read from files.
    """

    tables: Tables
    baseline: str
    outputs: Mapping[str, Outputs] = field(default_factory=dict, repr=False, compare=False)
    _verdicts: dict[str, Verdict] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

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

    @property
    def judging(self) -> list[str]:
        """Qualities that a verdict goes by, the deciding one first: those to be compared still."""
        return [name for name in self.qualities if not self.tables.columns[name].relative]

    def value(self, method: str, column: str) -> Interval:
        """One method's mean, share or number about all seeds, with its interval.

        Raises:
            TableError: as `difference`.
        """
        meaning, rows = self._meaning(column), self._once(method)
        if self._population(column):
            first = rows.iloc[0]
            low, high = (float(first[end]) for end in meaning.spread)
            return Interval(float(first[column]), low, high, len(rows))
        values = rows[column].to_numpy(dtype=float)
        if not meaning.share:
            return intervals.mean(values)
        answers = self._answers(column, values[np.isfinite(values)])
        return intervals.share(answers.sum(), len(answers)).times(meaning.whole)

    def difference(self, method: str, column: str) -> Interval:
        """Method minus baseline over the seeds both have.

        Means differ by Student's t, shares by Newcombe's interval; a number about all seeds by the
        jackknife of the difference where the tables hold its values without each seed, else by both
        intervals added, which is never too narrow.

        Raises:
            TableError: for a method or column there is not, or a seed that comes twice, which
                would be counted as so many independent pairs.
        """
        meaning = self._meaning(column)
        if method == self.baseline:  # nothing differs from itself, however uncertain it is
            own = self.value(method, column)
            nothing = own.value - own.value  # NaN where it is unknown
            return Interval(nothing, nothing, nothing, own.count)
        if self._population(column):
            return self._population_difference(method, column)
        mine, base = self._pairs(method, column)
        if not meaning.share:
            return intervals.mean(mine - base)
        known = np.isfinite(mine) & np.isfinite(base)
        sides = (self._answers(column, side[known]) for side in (mine, base))
        return intervals.share_difference(*sides).times(meaning.whole)

    def _meaning(self, column: str) -> Column:
        if column not in self.tables.columns:
            known = ", ".join(self.tables.columns)
            raise TableError(f"no column {column!r} with a meaning; there are {known}")
        return self.tables.columns[column]

    def _population(self, column: str) -> bool:
        """Whether each row holds the same number about all seeds."""
        return column.startswith("quality.") and bool(self.tables.columns[column].spread)

    def _answers(self, column: str, values: np.ndarray) -> np.ndarray:
        """Yes or no, from a column that declares to be a share."""
        whole = self.tables.columns[column].whole
        wrong = values[(values != 0) & (values != whole)]
        if len(wrong):
            raise TableError(
                f"{column} is a share, so each seed has 0 or {whole:g}; there is {wrong[0]:g}"
            )
        return values == whole

    def _pairs(self, method: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Method and baseline, seed by seed; NaN where unknown."""
        sides = [self._once(name) for name in (method, self.baseline)]
        _, *places = np.intersect1d(*(side["seed"] for side in sides), return_indices=True)
        values = [side[column].to_numpy(dtype=float) for side in sides]
        return values[0][places[0]], values[1][places[1]]

    def _once(self, method: str) -> pd.DataFrame:
        """The trials of a method that has one for each seed."""
        if method not in self._trials:
            raise TableError(f"no method {method!r}; there are {self.tables.methods}")
        rows = self._trials[method]
        again = rows["seed"][rows["seed"].duplicated()]
        if len(again):
            raise TableError(
                f"{method} has seed {again.iloc[0]} more than once. Give each of its settings a "
                "method name of its own"
            )
        return rows

    def _population_difference(self, method: str, column: str) -> Interval:
        mine, base = self.value(method, column), self.value(self.baseline, column)
        value = mine.value - base.value
        if without(column) in self.tables.trials:
            left_out = np.subtract(*self._pairs(method, without(column)))
            # Paired only where both numbers are about the same seeds.
            if len(left_out) == mine.count == base.count and np.isfinite(left_out).all():
                return intervals.jackknife(value, left_out)
        return Interval(value, mine.low - base.high, mine.high - base.low, mine.count)

    def _rounds(self, method: str, name: str = "cost.latency") -> np.ndarray:
        if name not in self._series or method not in self._trials:
            return np.array([])
        curves = self._series[name]
        own = curves[curves["trial_id"].isin(self._trials[method]["trial_id"])]
        return own.sort_values("x")["y"].to_numpy(dtype=float)

    # Read once: a panel asks at every move of a slider, and the tables do not change.

    @cached_property
    def _trials(self) -> dict[str, pd.DataFrame]:
        by_method = self.tables.trials.groupby("method", sort=False)
        return {str(name): rows.sort_values("seed") for name, rows in by_method}

    @cached_property
    def _series(self) -> dict[str, pd.DataFrame]:
        return {str(name): rows for name, rows in self.tables.series.groupby("name")}

    @property
    def rounds(self) -> int:
        """Timed rounds; 0 where nothing was timed."""
        return len(self._rounds(self.baseline))

    @cached_property
    def noise(self) -> float | None:
        """Relative time difference that the baseline shows against itself (A/A), or None."""
        first = self._rounds(self.baseline)
        again = self._rounds(self.baseline, "cost.latency.again")
        if len(first) < 3 or len(first) != len(again):
            return None
        return timing.relative_noise(first, again)

    def speedup(self, method: str) -> Interval:
        """Baseline time over method time, paired by round (geometric mean)."""
        mine, base = self._rounds(method), self._rounds(self.baseline)
        if len(mine) != len(base) or not len(mine):
            return Interval(float("nan"), float("nan"), float("nan"), 0)
        logs = intervals.mean(np.log(base / mine))
        value, low, high = np.exp([logs.value, logs.low, logs.high])
        return Interval(float(value), float(low), float(high), logs.count)

    def summary(self) -> pd.DataFrame:
        """One row per method and metric: value, change against the baseline, its interval.

        The change is a difference; for `cost.latency` it is the speed-up, a ratio; for a quality
        that compares with the baseline already, its value.
        """
        import pandas as pd

        rows = []
        for method in self.tables.methods:
            for column in self.qualities:
                here = self.value(method, column)
                relative = self.tables.columns[column].relative
                change = here if relative else self.difference(method, column)
                rows.append((method, column, here.value, change.value, change.low, change.high))
            if len(self._rounds(method)):
                gain = self.speedup(method)
                middle = float(np.median(self._rounds(method)))
                rows.append((method, "cost.latency", middle, gain.value, gain.low, gain.high))
        names = ["method", "metric", "value", "against_baseline", "low", "high"]
        return pd.DataFrame(rows, columns=names)

    def verdict(self, method: str) -> Verdict:
        """Worth it or not, in one sentence that gives the reason.

        Faster means: the whole interval of the speed-up lies above the noise floor. As good
        means: the whole interval of the deciding quality lies within its tolerance; worse means
        that it lies beyond. Where it reaches both ways, more rounds or more seeds decide. Another
        quality with a tolerance counts where it is shown to be worse.
        """
        if method not in self._verdicts:
            self._verdicts[method] = self._verdict(method)
        return self._verdicts[method]

    def _verdict(self, method: str) -> Verdict:
        gain, noise = self.speedup(method), self.noise
        if not gain.known or noise is None:
            return Verdict("not decided", f"{method} is not timed yet, so nothing is decided.")
        timing = f"{gain.value:.2f} × the speed of {self.baseline} ({gain.low:.2f}–{gain.high:.2f})"
        floor = f"the noise floor is {100 * noise:.1f} %"
        if gain.below(1 + noise):
            reason = "it is slower" if gain.below(1 - noise) else floor
            return Verdict("not worth it", f"{method} runs at {timing}: {reason}.")
        if not gain.above(1 + noise):
            advice = "more rounds or a quieter machine would tell"
            return Verdict("not decided", f"{method} runs at {timing}, and {floor}: {advice}.")
        if not self.judging:
            missing = "no quality that decides was measured"
            return Verdict("not decided", f"{method} runs at {timing}; {missing}.")
        deciding, *others = self.judging
        word, reason = self._quality(method, deciding)
        guarded = (name for name in others if self.tables.columns[name].tolerance)
        judged = (self._quality(method, name) for name in guarded)
        loss = next((found for found in judged if found[0] == "trade-off"), None)
        if word != "trade-off" and loss is not None:
            word, reason = loss
        joint = "and" if word == "worth it" else "but"
        return Verdict(word, f"{method} runs at {timing}, {joint} {reason}.")

    def _quality(self, method: str, column: str) -> tuple[Word, str]:
        """What became of the deciding quality, in words."""
        meaning = self.tables.columns[column]
        name = _name(column, meaning)
        change = self.difference(method, column)
        missing = 0 if meaning.spread else len(self._pairs(method, column)[0]) - change.count
        if missing:
            of = change.count + missing
            return "not decided", f"{name} is not a number for {missing} of {of} seeds"
        if not change.known:
            return "not decided", f"{name} has too few seeds for an interval"
        # The loss, positive where quality gets worse, with its interval.
        ends = (-change.low, -change.high) if meaning.better == "higher" else (
            change.low, change.high)  # fmt: skip
        if max(ends) <= meaning.tolerance:
            return "worth it", f"keeps {name}"
        unit = f" {meaning.unit}" if meaning.unit else ""
        moved = (
            f"{name} changes by {_signed(change.value)}{unit} "
            f"({_signed(change.low)} to {_signed(change.high)})"
        )
        if min(ends) > meaning.tolerance:
            return "trade-off", moved
        return "not decided", f"{moved}: too few seeds to tell a loss from none"

    def _repr_html_(self) -> str:
        import html

        lines = "".join(f"<p>{html.escape(self.verdict(m).sentence)}</p>" for m in self.others)
        return lines + self.summary().to_html(index=False, float_format=lambda v: f"{v:.4g}")


def without(column: str) -> str:
    """The column that holds, in the row of each seed, a number about all seeds but that one."""
    return f"{column}.without"


def _name(column: str, meaning: Column) -> str:
    return meaning.label or column.removeprefix("quality.").replace("_", " ")


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")
