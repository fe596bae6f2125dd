"""The panel of group sizes: constant size against fixed number, predicted at once, timed here."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from workbench import shipped
from workbench.labs.vision import group_size_charts as charts
from workbench.labs.vision import group_size_claim as claim
from workbench.labs.vision import group_size_shown as shown
from workbench.labs.vision.group_size_form import (
    GROUPS,
    PRESETS,
    groups,
    layers,
    network,
    prices,
    problems,
    traffic,
)
from workbench.labs.vision.group_size_networks import (
    NAMES,
    STUDIED,
    outline,
    recorded_times,
    sizes,
)
from workbench.labs.vision.group_size_timing import Grouping, timed
from workbench.measure import device
from workbench.panels.charted import EXPORTS as FIRST
from workbench.panels.charted import ChartedView, changed, others
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Problem, Slot, Values
from workbench.progress import Report

STUDY = "data/group-size-study"
LARGEST = 2e11
"""Multiply-adds of all passes of a round beyond which nothing is timed here."""


def group_size(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """A panel of E2GC: what groups of one size cost in every layer, and what they are worth.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(GroupSizeView(), settings=settings)


class GroupSizeView(ChartedView):
    """One network with groups of one size, and with as many groups, in every layer."""

    title = "Group size"
    study_line = "Groups of one size in every layer (E2GC) against as many groups in every layer"
    automatic = False
    verb = "Time it here"
    file_name = "group-size"
    groups = GROUPS
    presets = PRESETS
    exports = (*FIRST, *others(energy="Energy", times="Times", accuracy="Accuracy"))
    layout = (
        (Slot("reuse", "chart"), Slot("energy", "chart")),
        (Slot("figures", "figures", folds=False),),
        (Slot("times", "chart"), Slot("accuracy", "chart")),
        (Slot("verdicts", "table"),),
        (Slot("layers", "table", folded=True),),
    )

    def __init__(self) -> None:
        self.known: dict[tuple[str, int, int], dict[str, Any]] = {}

    def check(self, values: Values) -> list[Problem]:
        """Groups that do not divide a layer; passes that would take too long to time."""
        found = problems(values)
        reason = "" if found else _too_much(values)
        return [*found, *([Problem("warn", "batch", reason, "network")] if reason else [])]

    def predict(self, values: Values) -> Picture:
        """Everything counted and modelled, times as recorded or as taken here before."""
        asked = network(values)
        found = self.known.get((asked.network, asked.size, asked.batch))
        return self._picture(values, found)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """Passes of the network with every size, and with the fixed number, in turns."""
        asked = network(values)
        place = (asked.network, asked.size, asked.batch)
        reason = _too_much(values)
        if reason:
            raise ValueError(reason)
        groupings = _groupings(values)
        known = self.known.get(place)
        if known is None or {(r["rule"], r["number"]) for r in known["rows"]} < set(groupings):
            times = timed(*place, groupings, report)
            self.known[place] = {
                "size": asked.size,
                "batch": asked.batch,
                "rows": [
                    {
                        "rule": rule, "number": number, "median": one.median,
                        "low": one.quartiles[0], "high": one.quartiles[1],
                    }
                    for (rule, number), one in times.items()
                ],
            }  # fmt: skip
        yield self._picture(values, self.known[place])

    def _picture(self, values: Values, found: Mapping[str, Any] | None) -> Picture:
        asked, chosen, paid, moved = (
            network(values),
            groups(values),
            prices(values),
            traffic(values),
        )
        constant, fixed = layers(values)
        rows, card = study()
        shape, trained = outline(asked.network), STUDIED[asked.network]
        pair = (chosen.size, chosen.groups)
        contents: dict[str, Content] = {
            "reuse": ChartContent.of(charts.reuse(constant, fixed, *pair, paid, **moved)),
            "energy": ChartContent.of(charts.per_mac(shape, asked.size, paid, **moved)),
            "figures": shown.figures(
                shape, constant, fixed, *pair, paid, shown.accuracy_line(rows, trained), **moved
            ),
            "times": self._times(values, found),
            "accuracy": ChartContent.of(charts.accuracy(rows, trained, card)),
            "verdicts": shown.verdicts(rows, trained, card),
            "layers": shown.layers_table(constant, fixed, paid, **moved),
        }
        times = recorded_times()
        return Picture(
            contents,
            claim=claim.card(rows, card, times, paid, **moved),
            basis="measured" if found else "predicted",
            details=(NAMES[asked.network],),
            device=device.label() if found else "",
        )

    def _times(self, values: Values, found: Mapping[str, Any] | None) -> Content:
        asked = network(values)
        shape, recorded = outline(asked.network), recorded_times()
        if found is not None:
            return ChartContent.of(charts.times(shape, found, "measured here"))
        kept = recorded["networks"].get(asked.network)
        if kept is None:
            text = f"{self.verb} runs every group size in turns."
            return EmptyContent("How long does it take here?", text, self.verb)
        where = f"{recorded['clock']}, {recorded['device'].split(' · ')[0]}, {recorded['date']}"
        return ChartContent.of(charts.times(shape, kept, where))

    def code(self, values: Values) -> str:
        """Lines that count the same, and open the panel with these settings."""
        asked, chosen, paid = network(values), groups(values), prices(values)
        return "\n".join([
            "from workbench import vision",
            "from workbench.labs import vision as lab",
            "from workbench.vision.conv_shapes import Outline",
            "from workbench.vision.energy import Prices, spent",
            "",
            f'outline = Outline.of(vision.published("{asked.network}"))',
            f"layers = outline.at({asked.size}, group_size={chosen.size})",
            f"spent(layers, Prices(mac={paid.mac}, byte={paid.byte}), "
            f"batch={asked.batch}, itemsize={traffic(values)['itemsize']})",
            "",
            f"lab.group_size(settings={changed(values)})",
            "",
        ])  # fmt: skip


def _groupings(values: Values) -> list[Grouping]:
    """Every size that fits the network, and the fixed number asked for."""
    able = sizes(network(values).network)
    return [*(("size", size) for size in able), ("groups", groups(values).groups)]


def _too_much(values: Values) -> str:
    """Why a network is not timed at these settings; empty where it is."""
    asked = network(values)
    shape, total = outline(asked.network), 0
    for rule, number in _groupings(values):
        given = {"group_size" if rule == "size" else "groups": number}
        total += sum(layer.macs(asked.batch) for layer in shape.at(asked.size, **given))
    if total <= LARGEST:
        return ""
    return (
        f"Not timed here: a round of all sizes is {total / 1e9:.0f} G multiply-adds, more than "
        f"{LARGEST / 1e9:.0f}. Take fewer or smaller pictures to time it"
    )


@cache
def study() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and card of `python -m workbench.vision.group_size_study`."""
    place = shipped.path(STUDY)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    with (place / "quality.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), card


__all__ = ["GroupSizeView", "group_size"]
