"""The networks of the gap plot: operations, latency and published accuracy of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.figures import numbers
from workbench.labs.vision import families
from workbench.labs.vision.machines import GIGA, Machine
from workbench.vision.efficiency import counted, published
from workbench.vision.efficiency.formula import computational_efficiency, ideal_latency
from workbench.vision.efficiency.timed import Timed

MS = 1e3


@dataclass(frozen=True)
class Point:
    """One network on one device.

    Args:
        network: its name.
        operations: FLOP of a picture.
        batch: pictures at once.
        latency, low, high: seconds a picture; None where it was not measured.
        top1: published accuracy [%]; None where none is.
    """

    network: str
    operations: float
    batch: int
    latency: float | None = None
    low: float | None = None
    high: float | None = None
    top1: float | None = None

    def ideal(self, peak: float) -> float:
        """Seconds a picture at efficiency 1."""
        return ideal_latency(self.operations, peak)

    def efficiency(self, peak: float) -> float | None:
        """Share of the peak; None where it was not measured."""
        if self.latency is None:
            return None
        return computational_efficiency(self.operations, self.latency, peak)

    def row(self, machine: Machine) -> dict[str, Any]:
        """What the chart is drawn from."""
        efficiency = self.efficiency(machine.peak)
        told = [families.name(self.network), f"{numbers.number(self.operations / GIGA)} GFLOP"]
        if self.latency is not None and efficiency is not None:
            told += [numbers.seconds(self.latency), f"efficiency {numbers.percent(efficiency)}"]
        told += [
            f"batch {self.batch}",
            machine.dtype,
            f"peak {numbers.number(machine.peak / 1e12)} TFLOP/s",
        ]
        return {
            "method": families.family(self.network),
            "trial_id": self.network,
            "label": families.short(self.network),
            "ideal": MS * self.ideal(machine.peak),
            "latency": None if self.latency is None else MS * self.latency,
            "low": None if self.low is None else MS * self.low,
            "high": None if self.high is None else MS * self.high,
            "top1": self.top1,
            "gflop": self.operations / GIGA,
            "efficiency": None if efficiency is None else 100 * efficiency,
            "told": " · ".join(told),
        }


def from_table() -> list[Point]:
    """timm's published ones: its own count, latency and accuracy."""
    return [
        Point(one.model, one.operations, one.batch, one.latency, one.latency, one.latency, one.top1)
        for one in published.published().values()
    ]


def from_rows(rows: Iterable[Timed], batch: int) -> list[Point]:
    """What was measured at a batch; those that were not have their ideal alone."""
    timed = {row.network: row for row in rows if row.part == "network" and row.batch == batch}
    found = []
    for network in dict.fromkeys([*families.MEASURED, *timed]):
        row, known = timed.get(network), published.published().get(network)
        found.append(
            Point(
                network,
                counted.operations(network),
                batch,
                None if row is None else row.median / batch,
                None if row is None else row.low / batch,
                None if row is None else row.high / batch,
                None if known is None else known.top1,
            )
        )
    return found


def beyond(points: Iterable[Point], peak: float) -> list[Point]:
    """Those that took less than their ideal time: an efficiency above 1."""
    return [point for point in points if (point.efficiency(peak) or 0) > 1]


def of(points: Sequence[Point], network: str) -> Point | None:
    """The point of a network; None where it is not among them."""
    return next((point for point in points if point.network == network), None)
