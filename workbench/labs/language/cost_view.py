"""Where does linear win: cost against context, predicted at once and timed on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.labs.language import cost_charts, models
from workbench.labs.language.cost_charts import Costs
from workbench.labs.language.cost_knobs import GROUPS, MIXERS, PRESETS, kinds, shape
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.layer_cost import lengths
from workbench.labs.language.layer_timing import Timed, grown
from workbench.measure import device, roofline
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Problem, Slot, Values
from workbench.progress import Report

SHORTEST = 256
"""Least context that is timed: below it a call is mostly the cost of calling."""


def where_linear_wins(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The panel of cost against context.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(CostView(), settings=settings)


class CostView(LanguageView):
    """One layer of each mixer: its bound on a device, its state, and its times here."""

    title = "Where does linear win?"
    study_line = "One layer against context: by formula at once, timed on this machine on request"
    groups = GROUPS
    presets = PRESETS
    opener = "where_linear_wins"
    verb = "Time here"
    layout = (
        (Slot("seconds", "chart", 1.3), Slot("state", "chart", 1.0)),
        (Slot("crossings", "table", folds=False),),
        (Slot("macs", "chart"),),
    )

    def __init__(self) -> None:
        self.timed: dict[tuple[int, str], dict[tuple[str, int], Timed]] = {}

    def check(self, values: Values) -> list[Problem]:
        """Mixers that are not here."""
        return [
            Problem("warn", kind, f"{models.NAMES[kind]} is not among the mixers here", MIXERS)
            for kind in kinds(values)
            if models.mixer(kind, shape(values).width) is None
        ]

    def predict(self, values: Values) -> Picture:
        """Every cost by formula; times where this shape was timed before."""
        return self._picture(values, measured=False)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """This machine's rates once, then a layer of each kind at growing contexts."""
        knobs = shape(values)
        if roofline.kept("float32") is None:
            roofline.measured("float32", report=report)
            yield self._picture(values, measured=False)
        found = self.timed.setdefault((knobs.width, knobs.direction), {})
        asked = lengths(knobs.longest, SHORTEST)

        known = {kind: models.mixer(kind, knobs.width) for kind in kinds(values)}
        here = {kind: mixer for kind, mixer in known.items() if mixer is not None}
        report(0, len(asked), "Making the layers")
        for timed in grown(
            here,
            knobs.width,
            asked,
            token=knobs.direction == "token",
            seconds=knobs.seconds,
            report=report,
        ):
            found.update({(one.kind, one.length): one for one in timed})
            yield self._picture(values, measured=True)

    def _picture(self, values: Values, measured: bool) -> Picture:
        knobs = shape(values)
        here = [kind for kind in kinds(values) if models.mixer(kind, knobs.width)]
        if models.BASELINE not in here:
            text = "Softmax attention, which all are held against, is not among the mixers here."
            return Picture({"seconds": EmptyContent("From what length does it win?", text)})
        known = roofline.kept("float32")
        peaks = known if knobs.device == "here" else roofline.PEAKS[knobs.device]
        timed = self.timed.get((knobs.width, knobs.direction), {})
        costs = Costs(knobs, here, peaks, list(timed.values()))
        contents: dict[str, Content] = {
            "seconds": EmptyContent(
                "From what length does a linear mixer win?",
                "The peak rates of this machine are not known yet; a run measures them first.",
                "Time here",
            )
            if peaks is None
            else ChartContent.of(cost_charts.seconds(costs)),
            "state": ChartContent.of(cost_charts.state(costs)),
            "crossings": cost_charts.crossings(costs),
            "macs": ChartContent.of(cost_charts.arithmetic(costs)),
        }
        return Picture(
            contents,
            basis="measured" if measured else "predicted",
            details=(f"width {knobs.width}, feed-forward of 8/3", "batch 1"),
            device=device.label() if measured or timed else "",
        )

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """What was timed here."""
        knobs = shape(values)
        timed = self.timed.get((knobs.width, knobs.direction), {})
        rows = [
            {"mixer": models.NAMES[t.kind], "context": t.length, "seconds": t.timing.median,
             "low": t.timing.low, "high": t.timing.high, "state_bytes": t.state}
            for t in timed.values()
        ]  # fmt: skip
        return {"timed": rows} if rows else {}


__all__ = ["CostView", "where_linear_wins"]
