"""Sweep: runs as they come in, read from files, so that the page can be closed and opened again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import create_model

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, contours, lines
from workbench.figures.palette import OTHERS
from workbench.labs.scaling import tables
from workbench.labs.scaling.fit_charts import BUDGET, LOSS, SIZE
from workbench.labs.scaling.lab_view import ScalingView
from workbench.labs.scaling.tables import Table
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    EmptyContent,
    Figure,
    FiguresContent,
    Picture,
    TableContent,
    Verdict,
)
from workbench.panels.view import KnobGroup, Preset, Slot, Values
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    import pandas as pd

    from workbench.sweeps import Study

WATCH, SHIPPED = "watch", "shipped"
CURVES, RUNS = "How do the runs go?", "Runs"
POINTS, SHOWN = 150, 40
"""Points of a curve, and rows of the table, that are drawn."""

COLUMNS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "method": ("Method", str), "budget": ("FLOP", numbers.number),
    "n_params": ("Parameters", numbers.count), "n_tokens": ("Tokens", numbers.count),
    "loss": ("Loss", "{:.3f}".format), "seconds": ("Time", numbers.seconds),
}  # fmt: skip
"""Columns of a table of runs that is shown: their heads, and how a value is written."""

LOOK = 1.0
"""Seconds between two looks at the files."""

STATES: Mapping[str, Verdict] = {"finished": "reproduced", "failed": "failed", "lost": "failed",
                                 "stopped": "part"}  # fmt: skip


class Watching(Knobs):
    """Base of what is watched; studies are known when the panel opens."""

    study: str
    metric: str = knob(
        "", label="Curve of", help="A metric that runs log; empty for the first one.",
    )  # fmt: skip
    wish: Literal["watch", "go", "pause", "stop"] = knob(
        "watch", label="Ask it to",
        choices={"watch": "Just look", "go": "Go on", "pause": "Pause", "stop": "Stop"},
        help="Jobs read this at their next report; what is saved stays, and the same sweep goes on "
        "from there.",
    )  # fmt: skip


PRESETS = (
    Preset("Look", {WATCH: {"wish": "watch"}}),
    Preset("Pause", {WATCH: {"wish": "pause"}}),
    Preset("Go on", {WATCH: {"wish": "go"}}),
)


def sweep(
    study: str | Study | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The panel that watches a sweep.

    Args:
        study: its name, or itself where it is in another store; the newest without one.
        settings: what "Copy settings" gave.

    Raises:
        ValueError: a name that no study has.
    """
    view = SweepView(study)
    panel = Panel(view, settings=settings)
    if view.studies:
        panel.run()
    return panel


class SweepView(ScalingView):
    """Curves, counts and a table of the runs of a study, from its files alone.

    Args:
        study: see `sweep`.
    """

    title = "Sweep"
    opener = "sweep"
    presets = PRESETS
    verb = "Watch"
    layout = (
        (Slot("curves", "chart"),),
        (Slot("figures", "figures", folds=False),),
        (Slot("runs", "table", folds=False),),
    )

    def __init__(self, study: str | Study | None = None) -> None:
        self.studies = _studies(study)
        self.given = study
        names = [*self.studies, SHIPPED]
        first = names[0] if study is None else getattr(study, "name", study)
        shipped = tables.opened()
        kinds: dict[str, Any] = {
            "study": (Literal[tuple(names)], knob(
                first, label="Study", choices={SHIPPED: shipped.title},
                help="A sweep in this user’s store; any process may write it.",
            )),
        }  # fmt: skip
        made = create_model("Watching", __base__=Watching, **kinds)
        self.groups = (KnobGroup(WATCH, "Study", made),)
        count = len(self.studies)
        self.study_line = f"{count} in the store" if count else f"No sweep yet · {shipped.note}"

    def arguments(self) -> list[str]:
        """The study, as code; with its store where it was given as itself."""
        if self.given is None:
            return []
        if isinstance(self.given, str):
            return [repr(self.given)]
        return [f"Study({self.given.name!r}, {str(self.given.store.folder)!r})"]

    def code(self, values: Values) -> str:
        """Lines that open the same panel, on the same study."""
        code = super().code(values)
        if self.given is None or isinstance(self.given, str):
            return code
        return code.replace("\n", "\nfrom workbench.sweeps import Study\n", 1)

    def predict(self, values: Values) -> Picture:
        """What the files say now; the shipped table where there is no study."""
        study = self._study(values)
        return _of_table(tables.opened()) if study is None else _of_study(study, values)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """A picture a second until no process works on the study."""
        study, wish = self._study(values), watching(values).wish
        if study is None:
            yield self.predict(values)
            return
        if wish != "watch":
            {"go": study.go, "pause": study.pause, "stop": study.stop}[wish]()
        while True:
            progress = study.progress()
            report(progress.ended, max(progress.total, 1), str(progress))
            yield _of_study(study, values)
            if not progress.driven or progress.ended == progress.total:
                return
            until = time.monotonic() + LOOK
            while time.monotonic() < until:
                time.sleep(0.05)
                report(progress.ended, max(progress.total, 1), str(progress))

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Every run and every logged row."""
        study = self._study(values)
        if study is None:
            return {"runs": tables.opened().runs}
        return {"runs": study.table(), "curves": study.curves()}

    def _study(self, values: Values) -> Study | None:
        return self.studies.get(watching(values).study)


def watching(values: Values) -> Watching:
    """What is watched."""
    knobs = values[WATCH]
    assert isinstance(knobs, Watching), "the form's only group"
    return knobs


def _studies(given: str | Study | None) -> dict[str, Study]:
    """By name, the newest first; a given one before them.

    Raises:
        ValueError: a name that no study has.
    """
    from workbench.sweeps import studies

    if given is not None and not isinstance(given, str):
        return {given.name: given}
    found = {one.name: one for one in reversed(studies())}
    if given is not None and given not in found:
        there = ", ".join(found) or "none"
        raise ValueError(f"study {given!r} is not in the store; there is {there}")
    return found


def _of_study(study: Study, values: Values) -> Picture:
    records, curves = study.records(), study.curves()
    labels = _labels(records)
    metric = _metric(watching(values).metric, curves, records)
    drawn = _curves(curves, labels, metric)
    contents: dict[str, Content] = {
        "curves": EmptyContent(CURVES, f"No run has logged {metric or 'anything'} yet.")
        if drawn is None
        else ChartContent.of(drawn),
        "figures": _figures(study),
        "runs": _table(records, labels, metric),
    }
    return Picture(contents, basis="measured", details=(study.name, f"{len(records)} runs"))


def _labels(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Each run by the settings in which runs differ."""
    seen: dict[str, set[str]] = {}
    for one in records:
        for name, value in one["settings"].items():
            seen.setdefault(name, set()).add(str(value))
    varied = [name for name, values in seen.items() if len(values) > 1] or list(seen)[:1]
    return {
        str(one["id"]): ", ".join(
            f"{name} {_plain(one['settings'][name])}" for name in varied if name in one["settings"]
        )
        or str(one["id"])[:8]
        for one in records
    }


def _metric(asked: str, curves: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> str:
    """The metric that was asked for, else a loss, else the first number that runs log."""
    if asked.strip():
        return asked.strip()
    settings = {name for one in records for name in one["settings"]}
    logged = [
        str(name) for name in curves.select_dtypes("number").columns
        if name not in settings and name != "step"
    ]  # fmt: skip
    return "loss" if "loss" in logged or not logged else logged[0]


def _curves(curves: pd.DataFrame, labels: Mapping[str, str], metric: str) -> Chart | None:
    if metric not in curves.columns or not len(curves):
        return None
    rows: list[dict[str, Any]] = []
    for run, group in curves.dropna(subset=[metric]).groupby("run", sort=False):
        every = max(1, len(group) // POINTS)
        last = group.iloc[-1:]
        shown = [*group.iloc[::every].to_dict("records"), *last.to_dict("records")]
        rows += [
            {"method": labels[str(run)], "step": float(row["step"]), metric: float(row[metric])}
            for row in shown
            if row["step"] is not None and np.isfinite(row[metric])
        ]
    names = list(dict.fromkeys(str(row["method"]) for row in rows))
    return lines(
        rows, Axis("step", "Step"), Axis(metric, metric.replace("_", " ").capitalize()),
        title=CURVES, subtitle=f"{len(names)} runs that have begun · from their files",
        slots={name: min(place, OTHERS) for place, name in enumerate(names)}, height=250,
    )  # fmt: skip


def _figures(study: Study) -> FiguresContent:
    progress = study.progress()
    left = progress.seconds_left
    items = [
        Figure("Finished", f"{progress.finished} of {progress.total}", "", "runs"),
        Figure("Running", str(progress.running), "", "now"),
        Figure("Waiting", str(progress.waiting), "", "not begun, or to be resumed"),
        Figure("Failed", str(progress.failed + progress.lost), "", f"{progress.lost} lost"),
        Figure("Time left", "–" if left is None else numbers.seconds(left), "",
               "at the pace so far", "predicted" if left else "measured"),
    ]  # fmt: skip
    state = "A process works on it." if progress.driven else "No process works on it now."
    return FiguresContent(items, study.name, f"{progress}. {state}")


def _table(
    records: Sequence[Mapping[str, Any]], labels: Mapping[str, str], metric: str
) -> TableContent:
    rows: list[Sequence[Cell | str]] = []
    for place, one in enumerate(records[:SHOWN]):
        value = one["result"].get(metric)
        words = str(one["error"]).strip().splitlines()
        note = words[-1] if words else str(one["note"])
        slot = min(place, OTHERS - 1)
        rows.append([
            labels[str(one["id"])],
            Cell(str(one["state"]), verdict=STATES.get(str(one["state"]))),
            Cell(f"{100 * one['share']:.0f} %", share=float(one["share"]), method=slot),
            Cell("–" if value is None else _plain(value), strong=True),
            numbers.seconds(float(one["seconds"])), note,
        ])  # fmt: skip
    columns = (
        Column("Run"), Column("State"), Column("Done"), Column(metric.capitalize(), number=True),
        Column("Time", number=True), Column("Note", wrap=True, optional=True),
    )  # fmt: skip
    more = len(records) - SHOWN
    about = f"The first {SHOWN} of {len(records)}" if more > 0 else f"{len(records)} runs"
    return TableContent(columns, rows, RUNS, about)


def _of_table(table: Table) -> Picture:
    """Runs that ship, or are simulated, as a sweep that has ended."""
    from workbench.scaling.parabolas import budgets

    runs = table.runs
    rows: list[dict[str, Any]] = [
        {"part": "run", "budget": budget, "n_params": float(run["n_params"]),
         "loss": float(run["loss"]), "key": None, "label": str(run.get("method", ""))}
        for budget, group in budgets(runs) for _, run in group.iterrows()
    ]  # fmt: skip
    chart = contours(
        rows, SIZE, LOSS, BUDGET, title="Which losses came out?",
        subtitle=f"{table.title}, all methods · darker: more compute, counted as 6 N D", height=250,
    )  # fmt: skip
    columns = {name: told for name, told in COLUMNS.items() if name in runs.columns}
    shown = [
        [write(run[name]) for name, (_, write) in columns.items()]
        for _, run in runs.head(12).iterrows()
    ]
    items = [
        Figure("Finished", f"{len(runs)} of {len(runs)}", "", "runs"),
        Figure("Methods", str(max(len(table.methods), 1)), "", ", ".join(table.methods)),
        Figure("Least loss", f"{float(runs['loss'].min()):.3f}", "nats", "of all runs"),
    ]
    contents: dict[str, Content] = {
        "curves": ChartContent.of(chart),
        "figures": FiguresContent(
            items, table.title,
            f'{table.note}. A sweep of yours: sweep(train, grid, study="mine"), then '
            'scaling.sweep("mine").',
        ),
        "runs": TableContent(
            [Column(head, number=name != "method") for name, (head, _) in columns.items()],
            shown, RUNS, f"The first {len(shown)} of {len(runs)}",
        ),
    }  # fmt: skip
    return Picture(contents, basis="recorded", details=("" if table.real else "simulated",))


def _plain(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return str(value)
    number = float(value)
    if abs(number) >= 1e15:
        return numbers.number(number)
    return numbers.count(number) if abs(number) >= 1e4 else f"{number:.4g}"
