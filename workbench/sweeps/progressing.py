"""How far a study is, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """Runs of a study by state.

    Attributes:
        finished: with a result, NaN included.
        running: now.
        waiting: not begun, or broken off and to be resumed.
        failed: the function raised.
        stopped: by the user.
        lost: process or machine was lost as often as is tried again.
        seconds_left: until all have ended at the pace so far; None while nothing tells the pace.
        driven: a process works on the study now.
        wish: "go", "pause" or "stop".
    """

    finished: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    stopped: int = 0
    lost: int = 0
    seconds_left: float | None = None
    driven: bool = False
    wish: str = "go"

    @property
    def total(self) -> int:
        """All runs."""
        return self.ended + self.running + self.waiting

    @property
    def ended(self) -> int:
        """Runs on which nothing more is done."""
        return self.finished + self.failed + self.stopped + self.lost

    def __str__(self) -> str:
        parts = [f"{self.finished} of {self.total} finished"]
        for name in ("running", "waiting", "failed", "stopped", "lost"):
            number = getattr(self, name)
            if number:
                parts.append(f"{number} {name}")
        words = ", ".join(parts)
        if self.wish == "pause" and self.driven:
            words += "; paused"
        elif self.seconds_left and self.driven:
            words += f"; about {duration(self.seconds_left)} left"
        return words


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves at least one: "40 s", "3 min", "5.2 h", "2.1 d"."""
    for size, unit in ((86400.0, "d"), (3600.0, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def seconds_left(records: Sequence[dict[str, Any]]) -> float | None:
    """Seconds until all runs have ended, at as many jobs at once as run now.

    The pace is that of finished runs, a unit of expected cost; before there are any, that of
    running ones that say how far they are. Ours: a plain mean, without an interval.

    Args:
        records: of each run `state`, `cost` (expected, in any unit), `job` (its number),
            `seconds` (so far) and `share` (done, 0 to 1).
    """
    running = [one for one in records if one["state"] == "running"]
    pace = _pace([(one["seconds"], one["cost"]) for one in records if one["state"] == "finished"])
    if pace is None:
        pace = _pace([(one["seconds"], one["cost"] * one["share"]) for one in running])
    if pace is None:
        return None
    rest = [_rest(one, pace) for one in running]
    waiting = sum(pace * one["cost"] for one in records if one["state"] == "waiting")
    at_once = len({one["job"] for one in running}) or 1
    return max((sum(rest) + waiting) / at_once, max(rest, default=0.0))


def _rest(one: dict[str, Any], pace: float) -> float:
    if one["share"] > 0.02:
        return float(one["seconds"] * (1 - one["share"]) / one["share"])
    return max(float(pace * one["cost"] - one["seconds"]), 0.0)


def _pace(spent: Sequence[tuple[float, float]]) -> float | None:
    seconds = sum(pair[0] for pair in spent if pair[0] > 0 and pair[1] > 0)
    cost = sum(pair[1] for pair in spent if pair[0] > 0 and pair[1] > 0)
    return seconds / cost if cost else None
