"""What a study of group sizes says: paired differences by seed, and a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.measure import intervals
from workbench.measure.intervals import Interval
from workbench.measure.paired import Paired, paired
from workbench.vision.group_size_arms import NETWORKS, SIZES, Arm, pairs

ACCURACY = "accuracy"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Verdict(Paired):
    """Accuracy of two arms; a ranking only where the interval of the difference leaves zero out."""

    @property
    def better(self) -> str:
        """The better arm; empty where they are not told apart, or too few seeds speak."""
        return self.ahead("higher")

    @property
    def sentence(self) -> str:
        """In words."""
        change = self.difference
        spread = f" ({100 * change.low:+.1f} to {100 * change.high:+.1f})" if change.known else ""
        end = f"{self.better} is better" if self.better else "not told apart"
        return (
            f"{self.first} {self.ours.value:.1%}, {self.second} {self.theirs.value:.1%}: "
            f"{100 * change.value:+.1f} points{spread}, {change.count} "
            f"seed{'s' * (change.count != 1)}: {end}"
        )


def at_equal_arithmetic(rows: Rows, network: str) -> list[Verdict]:
    """Constant size against fixed number, where both were trained."""
    return [v for first, second in pairs(network) if (v := _held(rows, first, second))]


def against_depthwise(rows: Rows, network: str) -> list[Verdict]:
    """Each size against groups of one channel, which cost less arithmetic."""
    least = Arm(network, "size", SIZES[0])
    others = (Arm(network, "size", size) for size in SIZES[1:])
    return [v for other in others if (v := _held(rows, other, least))]


def verdicts(rows: Rows) -> Iterator[Verdict]:
    """All of them, network by network."""
    for network in NETWORKS:
        yield from at_equal_arithmetic(rows, network)
        yield from against_depthwise(rows, network)


def accuracy(rows: Rows, arm: Arm) -> Interval:
    """Mean over seeds; an interval from three seeds on."""
    return intervals.mean([float(row[ACCURACY]) for row in rows if row["arm"] == arm.name])


def conclusion(rows: Rows) -> str:
    """One sentence: what constant size did at equal arithmetic, over all networks."""
    held = [v for network in NETWORKS for v in at_equal_arithmetic(rows, network)]
    if not held:
        return "Nothing is trained yet."
    won, lost = (sum(v.better == getattr(v, side) for v in held) for side in ("first", "second"))
    equal = len(held) - won - lost
    return (
        f"At equal arithmetic, of {len(held)} pairs the constant size is better in {won}, the "
        f"fixed number in {lost}, and {equal} are not told apart."
    )


def _held(rows: Rows, first: Arm, second: Arm) -> Verdict | None:
    found = paired(rows, first.name, second.name, ACCURACY)
    return None if found is None else Verdict(**vars(found))
