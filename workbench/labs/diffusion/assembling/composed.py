"""The study that ships: students of the digits model alone and composed, against their teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from workbench import shipped
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, pareto
from workbench.figures.numbers import number, percent
from workbench.panels.picture import Cell, Column, TableContent

FOLDER = "data/digits-assembled-study"
METRICS = {
    "agreement": ("Class asked for", "%", "higher"),
    "toy_kid": ("toy-KID", "", "lower"),
    "diversity": ("Diversity", "", "higher"),
    "ssim": ("SSIM to teacher", "", "higher"),
}
"""Columns; names, units, and which direction is better."""
FAMILIES = {"teacher": 0, "base": 1, "small": 2, "tiny": 3, "switched": 5}
LATENCY = "cost.latency"


@dataclass(frozen=True)
class Study:
    """What was measured.

    Attributes:
        rows: a row for each composition and metric: value, and the same against the teacher with
            its interval.
        card: command, device, date, verdicts.
    """

    rows: Sequence[Mapping[str, Any]]
    card: Mapping[str, Any]

    def row(self, method: str, metric: str) -> Mapping[str, Any]:
        """One composition's metric."""
        asked = (method, metric)
        return next(row for row in self.rows if (row["method"], row["metric"]) == asked)

    @property
    def methods(self) -> list[str]:
        """Every composition, the teacher first."""
        return list(dict.fromkeys(str(row["method"]) for row in self.rows))

    def time(self, method: str) -> float:
        """Of a picture, over the teacher's: the table holds speeds."""
        return 1 / float(self.row(method, LATENCY)["against_baseline"])


@cache
def study() -> Study:
    """Of `python -m workbench.diffusion.assembly.study`."""
    import pandas as pd

    place = shipped.path(FOLDER)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    return Study(pd.read_csv(place / "summary.csv").to_dict("records"), card)


def family(method: str) -> str:
    """The network of a composition."""
    if "then teacher" in method:
        return "switched"
    return method.split(",")[0].split(" ")[0]


def quality(found: Study, metric: str) -> Chart:
    """Every composition: quality against its time."""
    words, unit, better = METRICS[metric]
    rows = [
        {
            "method": family(method), "label": method, "trial_id": method,
            "time": 100 * found.time(method),
            metric: float(found.row(method, f"quality.{metric}")["value"]),
        }
        for method in found.methods
    ]  # fmt: skip
    up = "up" if better == "higher" else "down"
    return pareto(
        rows,
        Axis("time", "Time of a picture", unit="%"),
        Axis(metric, words, unit=unit),
        title="What do students and plans make together?",
        subtitle=f"% of the teacher’s time, {found.card['pictures']} digits each · {up}, left is "
        "better",
        slots=FAMILIES,
        better="higher" if better == "higher" else "lower",
    )


def verdicts(found: Study) -> TableContent:
    """Speed and verdict of every composition, in words."""
    rows: list[list[Cell | str]] = []
    for method, verdict in found.card["verdicts"].items():
        speed = found.row(method, LATENCY)
        rows.append([
            Cell(method, method=FAMILIES[family(method)]),
            percent(found.card["macs_against_teacher"][method]),
            Cell(f"{number(float(speed['against_baseline']))} ×",
                 note=f"{number(float(speed['low']))}–{number(float(speed['high']))}"),
            percent(float(found.row(method, "quality.agreement")["value"]) / 100),
            Cell(str(verdict["word"]), strong=verdict["word"] == "worth it"),
        ])  # fmt: skip
    heads = (
        Column("Network, precision, plan"), Column("MACs", number=True),
        Column("Speed", number=True), Column("Class asked for", number=True), Column("Verdict"),
    )  # fmt: skip
    experts = found.card["experts"]
    words = "Against the teacher’s full run, paired by seed, timed by turns."
    if experts:
        words += f" Experts: {experts['verdict']}"
    return TableContent(heads, rows, "Which of them is worth it?", words)
