"""The charts and the table of "where does linear win": seconds, state, arithmetic, crossings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.language import models
from workbench.labs.language.cost_knobs import Shape
from workbench.labs.language.layer_cost import (
    LayerCost,
    crossing,
    crossing_of_points,
    layer_cost,
    lengths,
)
from workbench.labs.language.layer_timing import Timed
from workbench.measure.roofline import Peaks
from workbench.panels.picture import Cell, Column, TableContent

CONTEXT = Axis("length", "Context (tokens)", scale="log", words="count")


@dataclass(frozen=True)
class Costs:
    """What is known of the chosen mixers at one shape.

    Attributes:
        peaks: of the device; None for this machine before its rates are measured.
        timed: on this machine.
    """

    knobs: Shape
    kinds: Sequence[str]
    peaks: Peaks | None
    timed: Sequence[Timed] = field(default=())

    def at(self, kind: str, length: int) -> LayerCost:
        """The cost of a kind at one context."""
        found = layer_cost(
            kind,
            self.knobs.width,
            length,
            token=self.knobs.direction == "token",
            cache_bytes=int(self.knobs.cache),
            weight_bytes=4 if self.knobs.device == "here" else 2,
        )
        assert found is not None, "only kinds that are here are drawn"
        return found

    def crosses(self, kind: str, what: Callable[[LayerCost], float]) -> float | None:
        """Context from which a kind costs less than attention; None up to the longest."""
        return crossing(
            lambda length: what(self.at(kind, length)),
            lambda length: what(self.at(models.BASELINE, length)),
            self.knobs.longest,
        )

    def crosses_timed(self, kind: str) -> tuple[bool, float | None]:
        """Whether both were timed at a context, and where the times cross."""
        ours, theirs = self._times(kind), self._times(models.BASELINE)
        both = sorted(ours.keys() & theirs.keys())
        found = crossing_of_points(both, [ours[t] for t in both], [theirs[t] for t in both])
        return bool(both), found

    def _times(self, kind: str) -> dict[int, float]:
        return {t.length: t.timing.median for t in self.timed if t.kind == kind}

    def rows(self, what: Callable[[LayerCost], float]) -> list[dict[str, Any]]:
        """A row for every kind and context, by formula."""
        return [
            {"method": models.NAMES[kind], "length": length,
             "value": what(self.at(kind, length)), "predicted": True}
            for kind in self.kinds for length in lengths(self.knobs.longest)
        ]  # fmt: skip


def seconds(costs: Costs) -> Chart:
    """Time of a pass against context, the crossing with GLA marked."""
    peaks = costs.peaks
    assert peaks is not None, "drawn only where the rates are known"
    here = costs.knobs.device == "here"
    rows = [{**row, "value": 1e3 * row["value"]} for row in costs.rows(lambda c: c.seconds(peaks))]
    if here:
        rows += [
            {"method": models.NAMES[t.kind], "length": t.length, "value": 1e3 * t.timing.median,
             "low": 1e3 * t.timing.low, "high": 1e3 * t.timing.high, "predicted": False}
            for t in costs.timed if t.kind in costs.kinds
        ]  # fmt: skip
    what = "one more token" if costs.knobs.direction == "token" else "the whole text"
    return lines(
        rows,
        CONTEXT,
        Axis("value", "Milliseconds of a layer", scale="log"),
        title="From what length does a linear mixer win?",
        subtitle=f"{what.capitalize()}, batch 1, on {peaks.name} · hollow: at best, by formula"
        + (" · filled: timed here, band: all repeats" if here else ""),
        slots=_slots(costs),
        marks=True,
        upright=_upright(costs, lambda c: c.seconds(peaks)),
        height=270,
    )


def state(costs: Costs) -> Chart:
    """Bytes kept of one text in one layer; filled where the arrays were made."""
    rows = costs.rows(lambda c: c.state / 2**20)
    if costs.knobs.cache == "4":
        rows += [
            {"method": models.NAMES[t.kind], "length": t.length, "value": t.state / 2**20,
             "predicted": False}
            for t in costs.timed if t.kind in costs.kinds
        ]  # fmt: skip
    return lines(
        rows,
        CONTEXT,
        Axis("value", "MiB of a layer’s state", scale="log"),
        title="What must be kept of the text?",
        subtitle="A text in a layer · hollow: by formula · filled: arrays made here",
        slots=_slots(costs),
        marks=True,
        upright=_upright(costs, lambda c: c.state),
        height=270,
    )


def arithmetic(costs: Costs) -> Chart:
    """Multiply-adds of a token against context."""
    return lines(
        costs.rows(lambda c: c.macs / 1e6),
        CONTEXT,
        Axis("value", "Million multiply-adds a token", scale="log", words="count"),
        title="What does each token cost?",
        subtitle="A layer with its projections and feed-forward · by formula",
        slots=_slots(costs),
        dashed=True,
        upright=_upright(costs, lambda c: c.macs),
        height=190,
    )


def _upright(costs: Costs, what: Callable[[LayerCost], float]) -> Mapping[str, float]:
    """The first mixer's crossing, in words."""
    others = [kind for kind in costs.kinds if kind != models.BASELINE]
    if not others or models.BASELINE not in costs.kinds:
        return {}
    found = costs.crosses(others[0], what)
    if found is None or found <= 1:
        return {}
    return {f"{models.NAMES[others[0]]} from {numbers.number(found)}": found}


def _slots(costs: Costs) -> dict[str, int]:
    return {models.NAMES[kind]: models.slot(models.NAMES[kind]) for kind in costs.kinds}


def crossings(costs: Costs) -> TableContent:
    """From which context each mixer costs less than attention, by each measure."""
    peaks = costs.peaks

    def at_best(cost: LayerCost) -> float:
        return cost.seconds(peaks) if peaks else 0.0

    rows: list[list[Cell | str]] = []
    for kind in costs.kinds:
        if kind == models.BASELINE or models.BASELINE not in costs.kinds:
            continue
        name = models.NAMES[kind]
        known, timed = costs.crosses_timed(kind)
        rows.append([
            Cell(name, method=models.slot(name)),
            _from(costs.crosses(kind, lambda c: c.macs), costs),
            _from(costs.crosses(kind, lambda c: c.state), costs),
            _from(costs.crosses(kind, at_best), costs) if peaks else "–",
            Cell(_timed(timed, costs), strong=True) if known else "not run",
        ])  # fmt: skip
    heads = (
        Column("Mixer"), Column("Fewer multiply-adds", number=True),
        Column("Less to keep", number=True), Column("Less time at best", number=True),
        Column("Less time, timed here", number=True),
    )  # fmt: skip
    about = (
        "Context from which a layer costs less than attention’s. At best: the roofline of "
        f"{costs.peaks.name if costs.peaks else 'this machine, whose rates are not measured yet'}; "
        "a kernel reaches some share of it. Timed: float32 layers of plain XLA on this machine."
    )
    return TableContent(heads, rows, "From which context is it less?", about)


def _from(found: float | None, costs: Costs) -> Cell:
    return Cell(_words(found, costs.knobs.longest), basis="predicted")


def _timed(found: float | None, costs: Costs) -> str:
    seen = [t.length for t in costs.timed if t.kind == models.BASELINE]
    least = "" if found is None or found > min(seen) else "≤ "
    return least + _words(found, max(seen))


def _words(found: float | None, longest: int) -> str:
    if found is None:
        return f"not up to {numbers.number(longest)}"
    return "always" if found <= 1 else numbers.number(found)
