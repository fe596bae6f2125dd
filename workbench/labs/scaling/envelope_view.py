"""Envelope: approach 1, the best run at each compute while runs are under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.charts import Chart, contours, lines
from workbench.labs.scaling.fit_charts import AHEAD, LOSS, compute_axis, size_axis
from workbench.labs.scaling.lab_view import RECORD
from workbench.labs.scaling.runs_form import runs_knobs
from workbench.labs.scaling.selection import COMPUTE, Selection, selected_curves, told
from workbench.labs.scaling.table_view import TableView, unread
from workbench.labs.scaling.tables import Table, shipped_sweep
from workbench.panels.charted import EXPORTS, others, waiting
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Basis,
    Cell,
    ChartContent,
    Column,
    Content,
    Figure,
    FiguresContent,
    Picture,
    TableContent,
)
from workbench.panels.view import KnobGroup, Preset, Problem, Slot, Values
from workbench.progress import Report
from workbench.scaling.curve_envelope import (
    SHARE,
    SMOOTHING,
    PowerOfCompute,
    checked_curves,
    envelope,
    smooth,
)
from workbench.scaling.runs_table import Problem as Fault
from workbench.scaling.runs_table import RunsError
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    import pandas as pd

CURVES = "Which run is best on the way?"
GROWTH = "How does the best size grow with compute?"
WAY = "envelope"
RESAMPLES = 100
POINTS = 60
"""Of a curve that is drawn."""

DRAWN = 9
"""Sizes whose curves are drawn."""

MARKS = 14
"""Of the envelope that is drawn."""


class Way(Knobs):
    """How curves are read."""

    smoothing: float = knob(
        SMOOTHING, ge=0, le=0.99, step=0.01, label="Smoothing",
        help="Weight of what came before in the moving average of a curve; 0 for none.",
    )  # fmt: skip
    ahead: float = knob(
        10.0, ge=1, le=100, scale="log", label="Look ahead", unit="×",
        help="The sentence is about so many times the compute of the largest run.",
    )  # fmt: skip


PRESETS = (
    Preset("As published", {WAY: {"smoothing": SMOOTHING}}),
    Preset("Lightly smoothed", {WAY: {"smoothing": 0.5}}),
    Preset("No smoothing", {WAY: {"smoothing": 0.0}}),
)


def curves(
    table: Any = None, *, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel of approach 1.

    Args:
        table: a log by step, a path, or a study; the curves of the shipped sweep without one.
        settings: what "Copy settings" gave.

    Raises:
        LogError, TypeError: a table that cannot be read.
    """
    return Panel(EnvelopeView(table), settings=settings)


class EnvelopeView(TableView):
    """Curves of loss over compute, the lowest of them, and how its size grows.

    Args:
        table: see `curves`.
    """

    title = "Envelope of curves"
    opener = "curves"
    presets = PRESETS
    automatic = False
    verb = "Compute"
    exports = (*EXPORTS, RECORD, *others(growth="Growth of N*"))
    layout = (
        (Slot("curves", "chart", 1.1), Slot("growth", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("table", "table"),),
    )

    def __init__(self, table: Any = None) -> None:
        super().__init__(table)
        self.groups = (self.shelf.group(columns=True), KnobGroup(WAY, "Curves", Way))

    def check(self, values: Values) -> list[Problem]:
        """A table that cannot be read, or has no such columns; rows of curves that are left out."""
        try:
            return told(self._read(values)[1])
        except (ValueError, OSError) as fault:
            return [unread(values, fault)]

    def predict(self, values: Values) -> Picture:
        """Everything is computed at once."""
        table, chosen = self.table(values), self._steps(values)
        if chosen is None:
            words = (
                f"{table.title}: one row a run. A log by step has curves: columns run, parameters, "
                "tokens so far and loss."
            )
            return Picture(waiting(words, curves=CURVES, growth=GROWTH), basis=basis(table))
        try:
            found = lowest(chosen.runs, way(values))
        except ValueError as fault:
            drawn = ChartContent.of(curve_chart(None, chosen, way(values)))
            reason = f"No line: {fault}."
            return Picture({"curves": drawn, **waiting(reason, growth=GROWTH)}, basis=basis(table))
        contents: dict[str, Content] = {
            "curves": ChartContent.of(curve_chart(found, chosen, way(values))),
            "growth": ChartContent.of(growth(found, chosen)),
            "figures": figures(found, chosen, way(values), table),
            "table": ahead(found, chosen),
        }
        details = ("" if table.real else "simulated", f"{chosen.runs['run'].nunique()} runs")
        return Picture(contents, basis=basis(table), details=details)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The same picture: nothing here is trained."""
        report(0, 1, "Computing")
        self.remember(values)
        yield self.predict(values)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The curves, the points of the envelope, and the exponents of each resample."""
        chosen, found = self._lowest(values)
        if chosen is None:
            return {}
        if found is None:
            return {"curves": chosen.runs}
        return {"curves": chosen.runs, "envelope": found.points, "resamples": found.drawn}

    def records(self, values: Values) -> Mapping[str, Any]:
        """The two lines and how they came about; nothing where there are none."""
        chosen, found = self._lowest(values)
        if chosen is None or found is None:
            return {}
        return {
            "fit": {
                "kind": "approach 1, envelope of curves",
                "smoothing": way(values).smoothing,
                "counted": chosen.counted.key,
                "runs": int(chosen.runs["run"].nunique()),
                "n_params": {"exponent": found.size[0], "intercept": found.size[1]},
                "n_tokens": {"exponent": found.data[0], "intercept": found.data[1]},
                "resamples": {"asked": RESAMPLES, "share": SHARE, "of": "runs, none twice"},
                "left_out": list(chosen.left_out),
            }
        }

    def _steps(self, values: Values) -> Selection | None:
        return self._read(values)[0]

    def _read(self, values: Values) -> tuple[Selection | None, Sequence[Fault]]:
        """The rows by step that can be read, and what was wrong with the others.

        Raises:
            RunsError: none can.
        """
        chosen = selected_curves(self.table(values), runs_knobs(values))
        if chosen is None:
            return None, ()
        runs, faults = checked_curves(chosen.runs, drop=True)
        if runs.empty:
            raise RunsError(faults)
        words = (*chosen.left_out, *map(str, faults))
        return replace(chosen, runs=runs, left_out=words), faults

    def _lowest(self, values: Values) -> tuple[Selection | None, PowerOfCompute | None]:
        """The rows by step and their envelope, each None where there is none."""
        chosen = self._steps(values)
        if chosen is None:
            return None, None
        try:
            return chosen, lowest(chosen.runs, way(values))
        except ValueError:
            return chosen, None


def way(values: Values) -> Way:
    """How curves are read."""
    knobs = values[WAY]
    assert isinstance(knobs, Way), "the form's group of this name"
    return knobs


def basis(table: Table) -> Basis:
    """Where the curves come from: a law, the sweep that ships, or runs of the user's."""
    if not table.real:
        return "predicted"
    return "recorded" if table is shipped_sweep() else "measured"


def lowest(steps: pd.DataFrame, knobs: Way) -> PowerOfCompute:
    """The envelope with its resamples.

    Raises:
        ValueError: too few sizes, or none of them inside.
    """
    return envelope(steps, smoothing=knobs.smoothing, resamples=RESAMPLES)


def curve_chart(found: PowerOfCompute | None, chosen: Selection, knobs: Way) -> Chart:
    """The longest run of each size, and the lowest of all runs."""
    rows: list[dict[str, Any]] = []
    sizes = np.sort(chosen.runs["n_params"].unique())
    drawn = sizes[np.unique(np.linspace(0, len(sizes) - 1, DRAWN).round().astype(int))]
    for size in drawn:
        group = chosen.runs[chosen.runs["n_params"] == size]
        run = group.loc[group["compute"].idxmax(), "run"]
        curve = smooth(group[group["run"] == run], knobs.smoothing)
        rows += [
            {"part": "line", "n_params": float(size), COMPUTE: float(row["compute"]),
             "loss": float(row["loss"]), "key": None, "label": ""}
            for _, row in thinned(curve, POINTS).iterrows()
        ]  # fmt: skip
    if found is not None:
        rows += [
            {"part": "best", "n_params": float(row["n_params"]), COMPUTE: float(row["compute"]),
             "loss": float(row["loss"]), "key": None, "label": "best"}
            for _, row in thinned(found.points, MARKS).iterrows()
        ]  # fmt: skip
    return contours(
        rows, compute_axis(chosen), LOSS, size_axis(chosen), title=CURVES,
        subtitle=f"Curves: the longest run of {len(drawn)} sizes · hollow: the lowest of all runs",
        height=250,
    )  # fmt: skip


def growth(found: PowerOfCompute, chosen: Selection) -> Chart:
    """The size of the best run, and the line through it."""
    rows: list[dict[str, Any]] = [
        {"method": "best run", COMPUTE: float(row["compute"]), "n_params": float(row["n_params"]),
         "predicted": False}
        for _, row in thinned(found.points, 4 * MARKS).iterrows()
    ]  # fmt: skip
    line = np.geomspace(float(found.points["compute"].min()), AHEAD * chosen.largest, 9)
    rows += [
        {"method": "line", COMPUTE: float(row["compute"]), "n_params": float(row["n_params"]),
         "predicted": True}
        for _, row in found.allocation(line).iterrows()
    ]  # fmt: skip
    return lines(
        rows, compute_axis(chosen), size_axis(chosen), title=GROWTH,
        subtitle="Steps: size of the best run · cased: the line through them",
        slots={"line": 1, "best run": 0}, extrapolated=chosen.largest, height=250,
    )  # fmt: skip


def figures(found: PowerOfCompute, chosen: Selection, knobs: Way, table: Table) -> FiguresContent:
    """Exponents with the spread of resamples, and where they lead."""
    budget = knobs.ahead * chosen.largest
    row = found.allocation(np.asarray([budget])).iloc[0]
    drawn = found.drawn
    share = 0 if drawn is None else len(drawn)
    items = [
        Figure("Exponent a of N*", f"{found.size[0]:.3f}", "", spread(drawn, "a")),
        Figure("Exponent b of D*", f"{found.data[0]:.3f}", "", spread(drawn, "b")),
        Figure("Best size, N*", numbers.count(float(row["n_params"])), "",
               f"at {numbers.number(budget)} FLOP", "predicted"),
        Figure("Best data, D*", numbers.count(float(row["n_tokens"])), "",
               f"{numbers.number(float(row['n_tokens'] / row['n_params']), 3)} a parameter",
               "predicted"),
        Figure("Sizes inside", str(found.points["n_params"].nunique()), "",
               f"of {chosen.runs['n_params'].nunique()}"),
    ]  # fmt: skip
    source = (
        "A curve on the way lies above what a run that ends there reaches: its rate has not come "
        "down."
        if table.real
        else "Simulated runs: the law itself on the way, so that only the smoothing misses it."
    )
    if table.curves_of:
        source += f" Curves are of the {table.curves_of}."
    lines = f"{share} of {RESAMPLES} draws of {100 * SHARE:.0f} % of the runs give a line."
    return FiguresContent(items, "What the envelope says", f"{source} {lines}")


def spread(drawn: pd.DataFrame | None, name: str) -> str:
    """The 10 % and 90 % points of an exponent."""
    if drawn is None or len(drawn) < 10:
        return "too few resamples"
    low, high = np.percentile(drawn[name], [10, 90])
    return f"80 %: {low:.3f} – {high:.3f}"


def ahead(found: PowerOfCompute, chosen: Selection) -> TableContent:
    """Size and tokens at budgets from the largest run to two decades above it."""
    budgets = chosen.largest * np.asarray([1.0, 10.0, 100.0])
    rows: list[Sequence[Cell | str]] = [
        [
            numbers.number(float(row["compute"])),
            Cell(numbers.count(float(row["n_params"])), basis="predicted"),
            Cell(numbers.count(float(row["n_tokens"])), basis="predicted"),
            Cell(numbers.number(float(row["n_tokens"] / row["n_params"]), 3), basis="predicted"),
        ]
        for _, row in found.allocation(budgets).iterrows()
    ]
    columns = (
        Column("FLOP"), Column("Best size", number=True), Column("Best tokens", number=True),
        Column("Tokens a parameter", number=True),
    )  # fmt: skip
    about = "The largest run’s compute, ten times and a hundred times as much"
    return TableContent(columns, rows, "Where the line leads", about)


def thinned(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most so many rows, spread by ratio of compute, the first and the last among them."""
    compute = np.log(rows["compute"].to_numpy(float))
    wanted = np.linspace(compute[0], compute[-1], min(count, len(rows)))
    return rows.iloc[np.unique(np.abs(compute[:, None] - wanted).argmin(axis=0))]
