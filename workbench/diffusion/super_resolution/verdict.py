"""4x against 8x, metric by metric: differences paired by seed, with intervals, whichever way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.measure.paired import Paired, paired, require_arms

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
class Verdict(Paired):
    """One metric of one task on one kind of picture.

    Attributes:
        task, kind: what of what.
    """

    task: str
    kind: str

    @property
    def better(self) -> str:
        """The better arm; empty where seeds do not tell."""
        return self.ahead("higher")

    @property
    def sentence(self) -> str:
        """In words."""
        end = f"{self.better} is better" if self.better else "seeds do not tell which is better"
        return (
            f"{self.task} of {self.kind}, {METRICS[self.metric]}: {self.first} "
            f"{self.ours.value:.4g}, {self.second} {self.theirs.value:.4g}; {self.apart}: {end}"
        )


def verdicts(rows: Sequence[Mapping[str, Any]], first: str, second: str) -> list[Verdict]:
    """Every metric both arms have, on seeds both have.

    Args:
        rows: with `arm`, `seed`, `task`, `kind` and columns of `METRICS`.
        first, second: arms.

    Raises:
        ValueError: an arm there is not.
    """
    require_arms(rows, first, second)
    found = []
    for task, kind in dict.fromkeys((row["task"], row["kind"]) for row in rows):
        here = [row for row in rows if (row["task"], row["kind"]) == (task, kind)]
        each = (paired(here, first, second, metric) for metric in METRICS)
        found += [Verdict(**vars(one), task=task, kind=kind) for one in each if one is not None]
    return found


def summary(found: Sequence[Verdict]) -> str:
    """How often either arm is better."""
    first, second = found[0].first, found[0].second
    ours, theirs = (sum(one.better == arm for one in found) for arm in (first, second))
    return (
        f"{first} against {second}: better in {ours} of {len(found)}, worse in {theirs}, "
        f"not told apart in {len(found) - ours - theirs}"
    )
