"""One kind of student against another, metric by metric: differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.measure.paired import Paired, paired, require_arms

METRICS: dict[str, tuple[str, Literal["higher", "lower"]]] = {
    "agreement": ("share of the class asked for", "higher"),
    "diversity_ratio": ("diversity in features", "higher"),
    "pixel_diversity_ratio": ("diversity in pixels", "higher"),
    "toy_fid": ("toy-FID", "lower"),
    "kernel_distance": ("kernel distance", "lower"),
}
"""Columns; their names on the screen, and which direction is better."""


@dataclass(frozen=True)
class Verdict(Paired):
    """One metric of two arms."""

    @property
    def better(self) -> str:
        """The better arm; empty where the interval holds zero, or fewer than three seeds speak."""
        return self.ahead(METRICS[self.metric][1])

    @property
    def sentence(self) -> str:
        """In words."""
        count = self.difference.count
        end = f"{self.better} is better" if self.better else "not told apart"
        return (
            f"{METRICS[self.metric][0]}: {self.first} {self.ours.value:.3g}, {self.second} "
            f"{self.theirs.value:.3g}; {self.apart}, {count} seed{'s' if count > 1 else ''}: {end}"
        )


def verdicts(rows: Sequence[Mapping[str, Any]], first: str, second: str) -> list[Verdict]:
    """Every metric, on the seeds both arms have; of an arm without seeds one row serves all.

    Args:
        rows: with `arm`, `seed` (-1 where nothing was trained) and the columns of `METRICS`.
        first, second: arms.

    Raises:
        ValueError: an arm there is not.
    """
    require_arms(rows, first, second)
    each = (paired(rows, first, second, metric) for metric in METRICS)
    return [Verdict(**vars(one)) for one in each if one is not None]
