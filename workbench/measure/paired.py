"""Two arms of a study, paired by seed: both means, and the interval of what lies between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.measure import intervals
from workbench.measure.intervals import Interval

NO_SEED = -1
"""Seed of a row that no training made."""


@dataclass(frozen=True)
class Paired:
    """One metric of two arms.

    Attributes:
        metric: column.
        first, second: arms.
        ours, theirs: of each over seeds.
        difference: of the first less the second, paired by seed.
    """

    metric: str
    first: str
    second: str
    ours: Interval
    theirs: Interval
    difference: Interval

    def ahead(self, best: Literal["higher", "lower"]) -> str:
        """The better arm; empty where the interval holds zero, or too few seeds make one."""
        more, less = self.first, self.second
        if best == "lower":
            more, less = less, more
        if self.difference.above(0.0):
            return more
        return less if self.difference.below(0.0) else ""

    @property
    def apart(self) -> str:
        """The difference with its interval, in words."""
        found = self.difference
        spread = f" ({found.low:+.3g} to {found.high:+.3g})" if found.known else ""
        return f"{found.value:+.3g}{spread}"


def require_arms(rows: Sequence[Mapping[str, Any]], *arms: str) -> None:
    """That rows hold these arms.

    Raises:
        ValueError: an arm there is not.
    """
    known = {str(row["arm"]) for row in rows}
    for arm in arms:
        if arm not in known:
            raise ValueError(f"no arm {arm!r}; there are {', '.join(sorted(known))}")


def paired(
    rows: Sequence[Mapping[str, Any]], first: str, second: str, metric: str
) -> Paired | None:
    """On the seeds both arms have; a row without a seed serves all. None where no seed is common.

    Args:
        rows: with `arm`, `seed` (`NO_SEED` where nothing was trained) and the metric's column.
        first, second: arms.
        metric: column; NaN is no value.
    """
    ours, theirs = (_by_seed(rows, arm, metric) for arm in (first, second))
    seeds = sorted((ours.keys() | theirs.keys()) - {NO_SEED}) or [NO_SEED]
    each = [(ours.get(s, ours.get(NO_SEED)), theirs.get(s, theirs.get(NO_SEED))) for s in seeds]
    both = [(a, b) for a, b in each if a is not None and b is not None]
    if not both:
        return None
    mine, other = (intervals.mean([pair[side] for pair in both]) for side in (0, 1))
    return Paired(metric, first, second, mine, other, intervals.mean([a - b for a, b in both]))


def _by_seed(rows: Sequence[Mapping[str, Any]], arm: str, metric: str) -> dict[int, float]:
    return {
        int(row["seed"]): float(row[metric])
        for row in rows
        if row["arm"] == arm and row.get(metric) is not None and row[metric] == row[metric]
    }
