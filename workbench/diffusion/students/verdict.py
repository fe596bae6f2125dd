"""One kind of student against another, metric by metric: differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.measure import intervals
from workbench.measure.intervals import Interval

METRICS: dict[str, tuple[str, str]] = {
    "agreement": ("share of the class asked for", "higher"),
    "diversity_ratio": ("diversity in features", "higher"),
    "pixel_diversity_ratio": ("diversity in pixels", "higher"),
    "toy_fid": ("toy-FID", "lower"),
    "kernel_distance": ("kernel distance", "lower"),
}
"""Columns; their names on the screen, and which direction is better."""


@dataclass(frozen=True)
class Verdict:
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

    @property
    def better(self) -> str:
        """The better arm; empty where the interval holds zero, or fewer than three seeds speak."""
        low, high = (self.second, self.first)
        if METRICS[self.metric][1] == "lower":
            low, high = high, low
        if self.difference.above(0.0):
            return high
        return low if self.difference.below(0.0) else ""

    @property
    def sentence(self) -> str:
        """In words."""
        apart = self.difference
        spread = f" ({apart.low:+.3g} to {apart.high:+.3g})" if apart.known else ""
        seeds = f"{apart.count} seed{'s' if apart.count > 1 else ''}"
        end = f"{self.better} is better" if self.better else "not told apart"
        return (
            f"{METRICS[self.metric][0]}: {self.first} {self.ours.value:.3g}, {self.second} "
            f"{self.theirs.value:.3g}; {apart.value:+.3g}{spread}, {seeds}: {end}"
        )


def verdicts(rows: Sequence[Mapping[str, Any]], first: str, second: str) -> list[Verdict]:
    """Every metric, on the seeds both arms have; of an arm without seeds one row serves all.

    Args:
        rows: with `arm`, `seed` (-1 where nothing was trained) and the columns of `METRICS`.
        first, second: arms.

    Raises:
        ValueError: an arm there is not.
    """
    known = {str(row["arm"]) for row in rows}
    for arm in (first, second):
        if arm not in known:
            raise ValueError(f"no arm {arm!r}; there are {', '.join(sorted(known))}")
    found = []
    for metric in METRICS:
        ours, theirs = (_by_seed(rows, arm, metric) for arm in (first, second))
        seeds = sorted((ours.keys() | theirs.keys()) - {-1}) or [-1]
        pairs = [(ours.get(s, ours.get(-1)), theirs.get(s, theirs.get(-1))) for s in seeds]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if not both:
            continue
        mine, other = (intervals.mean([pair[side] for pair in both]) for side in (0, 1))
        apart = intervals.mean([a - b for a, b in both])
        found.append(Verdict(metric, first, second, mine, other, apart))
    return found


def _by_seed(rows: Sequence[Mapping[str, Any]], arm: str, metric: str) -> dict[int, float]:
    return {
        int(row["seed"]): float(row[metric])
        for row in rows
        if row["arm"] == arm and row.get(metric) is not None and row[metric] == row[metric]
    }
