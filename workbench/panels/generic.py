"""A view of any comparison: a form from each method's knobs, a chart, a table, and its export."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.numbers import number
from workbench.panels.picture import Cell, ChartContent, Column, Picture, TableContent
from workbench.panels.verdicts import verdicts
from workbench.panels.view import Export, KnobGroup, Preset, Problem, Slot, Values, View
from workbench.progress import Report
from workbench.study.compare import Memory, distinct, progressive
from workbench.study.comparison import Comparison
from workbench.study.knobs import describe
from workbench.study.method import Composed, Method
from workbench.study.study import Study

if TYPE_CHECKING:
    from workbench.figures.chart import Chart
    from workbench.measure.roofline import Peaks

ROUNDS = 5
TITLE = "What does each saving cost?"


class CompareView(View):
    """Methods of any field on any study: what a lab starts from, or does without one.

    Args:
        methods: the baseline first; their settings are the form's first values.
        study_factory: makes the study, once.
        title: name of the panel.
        memory: where finished outputs are kept, such as `workbench.runs.Store()`.
        rounds: timed rounds; 0 measures no time and charts modelled arithmetic.
        peaks: peak rates to hold the work against, see `compare`.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        study_factory: Callable[[], Study],
        *,
        title: str = "Comparison",
        memory: Memory | None = None,
        rounds: int = ROUNDS,
        peaks: Peaks | None = None,
    ) -> None:
        self.methods = list(methods)
        self.make_study, self.memory, self.rounds = study_factory, memory, rounds
        self.peaks = peaks
        names = [method.name for method in distinct(methods)]
        self.title, self.study_line = title, ", ".join(names)
        declared = {name: m.slot for name, m in zip(names[1:], methods[1:], strict=True)}
        colours = palette.use(declared, names[0])
        self.slots = [colours.slot(name) for name in names]
        self.forms = {
            f"m{place}_{nth}": (place, link)
            for place, method in enumerate(self.methods)
            for nth, link in enumerate(links(method))
        }
        self.groups = [
            KnobGroup(form, link.name, type(link.knobs), method=self.slots[place])
            for form, (place, link) in self.forms.items()
            if type(link.knobs).model_fields
        ]
        self.presets = self._presets()
        self.layout = (
            (Slot("tradeoff", "chart"),),
            (Slot("verdicts", "table", folds=False),),
            (Slot("summary", "table"),),
        )
        self.exports = (
            Export("zip", "Figure and data", ".zip"),
            Export("svg", "Picture", ".svg"),
            Export("csv", "Table", ".csv", behind=True),
        )

    @cached_property
    def study(self) -> Study:
        """What the methods are compared on."""
        return self.make_study()

    def _presets(self) -> tuple[Preset, Preset, Preset]:
        given, usual, papers = {}, {}, {}
        for group in self.groups:
            given[group.id] = self.forms[group.id][1].knobs.model_dump(mode="json")
            usual[group.id] = group.knobs().model_dump(mode="json")
            known = {field.name: field.paper for field in describe(group.knobs)}
            said = {name: value for name, value in known.items() if value is not None}
            papers[group.id] = usual[group.id] | said
        return Preset("As given", given), Preset("Defaults", usual), Preset("The papers’", papers)

    def chosen(self, values: Values) -> list[Method]:
        """The methods with the form's settings.

        Raises:
            ValueError: where two of them have become the same.
        """
        built: dict[int, Method] = {}
        for form, (place, link) in self.forms.items():
            fresh = copy(link)
            fresh.knobs = values.get(form, link.knobs)
            built[place] = built[place].then(fresh) if place in built else fresh
        return distinct(list(built.values()))

    def check(self, values: Values) -> list[Problem]:
        """What each method says of the study's subject."""
        try:
            methods = self.chosen(values)
        except ValueError as error:
            return [Problem("error", "", str(error))]
        found = []
        for place, method in enumerate(methods):
            for problem in method.check(self.study.subject):
                form = next(
                    (f for f, (owner, link) in self.forms.items()
                     if owner == place and problem.field in type(link.knobs).model_fields), "",
                )  # fmt: skip
                message = f"{method.name}: {problem.message}"
                found.append(Problem(problem.level, problem.field if form else "", message, form))
        return found

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """A picture after each method, and one with times."""
        for comparison in progressive(
            self.chosen(values),
            self.study,
            repeats=self.rounds,
            memory=self.memory,
            peaks=self.peaks,
            report=report,
        ):
            yield self._picture(comparison)

    def _picture(self, found: Comparison) -> Picture:
        chart = self._tradeoff(found)
        contents: dict[str, Any] = {"summary": self._summary(found)}
        if chart is not None:
            contents["tradeoff"] = ChartContent.of(chart)
        colours = self._colours(found)
        contents["verdicts"] = verdicts([(colours[m], found.verdict(m)) for m in found.others])
        device = found.tables.trials.get("device")
        where = "" if device is None else str(device.iloc[0])
        return Picture(contents, device=where, comparison=found)

    def _tradeoff(self, found: Comparison) -> Chart | None:
        """The deciding quality against time, or against modelled arithmetic before times."""
        from workbench.figures.axes import Axis
        from workbench.figures.charts import pareto

        columns = found.tables.columns
        axis = next((c for c in ("cost.latency", "cost.macs") if c in columns), None)
        if axis is None or not found.qualities:
            return None
        quality = found.qualities[0]
        table = found.tables.trials.groupby("method", sort=False)[[axis, quality]].mean()
        rows = [{"method": name, "trial_id": name, **row} for name, row in table.iterrows()]
        modelled = columns[axis].basis == "modelled"
        return pareto(
            rows,
            Axis(axis, _words(columns[axis].label or axis, columns[axis].unit)),
            Axis(quality, _words(columns[quality].label or quality, columns[quality].unit)),
            title=TITLE, slots=self._colours(found),
            better="lower" if columns[quality].better == "lower" else "higher",
            subtitle=f"Means over {found.tables.trials['seed'].nunique()} seeds"
            + (" · arithmetic is modelled, times follow" if modelled else ""),
        )  # fmt: skip

    def _colours(self, found: Comparison) -> dict[str, int]:
        """A method keeps its colour when its settings, and with them its name, change."""
        return dict(zip(found.tables.methods, self.slots, strict=False))

    def _summary(self, found: Comparison) -> TableContent:
        rows: list[list[Cell | str]] = []
        colours = self._colours(found)
        for method, metric, value, change, low, high in found.summary().itertuples(index=False):
            meaning = found.tables.columns[metric]
            against, ends = Cell("–"), ""
            if method != found.baseline:
                ends = f"{number(low)} to {number(high)}" if low == low else "too few seeds"
                against = Cell(number(change), note=ends)
            measure = _words(meaning.label or metric, meaning.unit)
            rows.append([Cell(method, method=colours[method]), measure, number(value), against])
        heads = ("Method", "Measure", "Mean", f"Against {found.baseline}")
        columns = [Column(head, number=place > 1) for place, head in enumerate(heads)]
        about = "Differences by seed with 95 % intervals; for latency the speed-up, a ratio."
        return TableContent(columns, rows, "What changed?", about)

    def code(self, values: Values) -> str:
        """Lines that make the same table, given the study."""
        methods = self.chosen(values)
        classes = dict.fromkeys(type(link) for _, link in self.forms.values())
        imports = [f"from {cls.__module__} import {cls.__name__}" for cls in classes]
        calls = [f"    {method.code()}," for method in methods]
        lines = ["from workbench import compare", *imports, "", "methods = [", *calls, "]"]
        return "\n".join([*lines, f"comparison = compare(methods, study, repeats={self.rounds})"])

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The chart with its data, the chart, or the trials."""
        from workbench.figures import export

        chart = picture.first_chart
        if picture.comparison is None or chart is None:
            raise ValueError("There is no picture yet; press Run first")
        name, tables = "_".join(self.title.lower().split()), picture.comparison.tables
        if kind == "csv":
            return f"{name}.csv", tables.trials.to_csv(index=False).encode()
        if kind not in [entry.kind for entry in self.exports]:
            raise ValueError(f"There is no export of kind {kind!r}")
        settings = {group: knobs.model_dump(mode="json") for group, knobs in values.items()}
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / f"{name}.{kind}"
            if kind == "zip":
                export.export_figure(chart, tables, settings, file)
            else:
                export.write(chart, file)
            return file.name, file.read_bytes()


def links(method: Method) -> tuple[Method, ...]:
    """The methods of a chain, or the method alone."""
    return method.links if isinstance(method, Composed) else (method,)


def _words(label: str, unit: str) -> str:
    words = label.removeprefix("quality.").removeprefix("cost.").replace("_", " ")
    return f"{words} [{unit}]" if unit else words
