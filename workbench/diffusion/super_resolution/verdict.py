"""4x against 8x, metric by metric: differences paired by seed, with intervals, whichever way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.measure import intervals
from workbench.measure.intervals import Interval

RECONSTRUCTION, RESTORATION = "reconstruction", "super-resolution"
"""The tasks."""
METRICS = {
    "psnr_y": "PSNR-Y [dB]",
    "ssim_y": "SSIM-Y",
    "edges": "edge correlation",
    "characters": "character correlation",
}
"""Columns, and their names on the screen; more is better in all."""


@dataclass(frozen=True)
class Verdict:
    """One metric of one task on one kind of picture.

    Attributes:
        task, kind, metric: what of what.
        first, second: arms.
        ours, theirs: of each over seeds.
        difference: of the first less the second, paired by seed.
    """

    task: str
    kind: str
    metric: str
    first: str
    second: str
    ours: Interval
    theirs: Interval
    difference: Interval

    @property
    def better(self) -> str:
        """The better arm; empty where seeds do not tell."""
        if self.difference.above(0.0):
            return self.first
        return self.second if self.difference.below(0.0) else ""

    @property
    def sentence(self) -> str:
        """In words."""
        apart = self.difference
        spread = f" ({apart.low:+.3g} to {apart.high:+.3g})" if apart.known else ""
        end = f"{self.better} is better" if self.better else "seeds do not tell which is better"
        return (
            f"{self.task} of {self.kind}, {METRICS[self.metric]}: {self.first} "
            f"{self.ours.value:.4g}, {self.second} {self.theirs.value:.4g}; "
            f"{apart.value:+.3g}{spread}: {end}"
        )


def verdicts(rows: Sequence[Mapping[str, Any]], first: str, second: str) -> list[Verdict]:
    """Every metric both arms have, on seeds both have.

    Args:
        rows: with `arm`, `seed`, `task`, `kind` and columns of `METRICS`.
        first, second: arms.

    Raises:
        ValueError: an arm there is not.
    """
    arms = {str(row["arm"]) for row in rows}
    for arm in (first, second):
        if arm not in arms:
            raise ValueError(f"no arm {arm!r}; there are {', '.join(sorted(arms))}")
    found = []
    for task, kind in dict.fromkeys((row["task"], row["kind"]) for row in rows):
        here = [row for row in rows if (row["task"], row["kind"]) == (task, kind)]
        for metric in METRICS:
            ours, theirs = (_by_seed(here, arm, metric) for arm in (first, second))
            seeds = sorted(ours.keys() & theirs.keys())
            if not seeds:
                continue
            a, b = [ours[s] for s in seeds], [theirs[s] for s in seeds]
            apart = intervals.mean([x - y for x, y in zip(a, b, strict=True)])
            means = intervals.mean(a), intervals.mean(b)
            found.append(Verdict(task, kind, metric, first, second, *means, apart))
    return found


def summary(found: Sequence[Verdict]) -> str:
    """How often either arm is better."""
    first, second = found[0].first, found[0].second
    ours, theirs = (sum(one.better == arm for one in found) for arm in (first, second))
    return (
        f"{first} against {second}: better in {ours} of {len(found)}, worse in {theirs}, "
        f"not told apart in {len(found) - ours - theirs}"
    )


def _by_seed(rows: Sequence[Mapping[str, Any]], arm: str, metric: str) -> dict[int, float]:
    return {
        int(row["seed"]): float(row[metric])
        for row in rows
        if row["arm"] == arm and row.get(metric) is not None and row[metric] == row[metric]
    }
