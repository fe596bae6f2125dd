"""Compare: what a method is worth in compute, from runs of several methods fitted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, ranges
from workbench.labs.scaling.accounting import accounting
from workbench.labs.scaling.compare_form import PRESETS, comparing, group, law_across
from workbench.labs.scaling.fit_charts import AHEAD, LOSS, compute_axis
from workbench.labs.scaling.fit_form import Fitting, settings_of
from workbench.labs.scaling.fit_tables import SYMBOLS, how
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.fitted_view import FittedView, opened
from workbench.labs.scaling.lab_view import RECORD
from workbench.labs.scaling.recorded import Recorded
from workbench.labs.scaling.runs_form import count_of, runs_knobs
from workbench.labs.scaling.selection import COMPUTE, Selection
from workbench.labs.scaling.tables import Table
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    Figure,
    FiguresContent,
    Picture,
    TableContent,
)
from workbench.panels.view import Slot, Values
from workbench.scaling import gains
from workbench.scaling.laws.law import Law
from workbench.scaling.result import Fit
from workbench.scaling.selecting import as_numbers
from workbench.scaling.settings import Settings

Costs = Mapping[str, gains.Cost]
"""Of each method."""


def compare(
    table: Any = None, *, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel that holds methods against each other.

    Args:
        table: a path, a study, or a data frame with a column `method`; what ships without one.
        settings: what "Copy settings" gave.

    Raises:
        LogError, TypeError: a table that cannot be read.
    """
    view = CompareView(table)
    return opened(view, settings)


class CompareView(FittedView):
    """Gain in compute with intervals, the least loss of each method, parameters.

    Args:
        table: see `compare`.
    """

    title = "Compare methods"
    opener = "compare"
    presets = PRESETS
    exports = (*EXPORTS, RECORD, *others(losses="Losses", gain="Gain against compute"))
    layout = (
        (Slot("gains", "chart", 1.0), Slot("losses", "chart", 1.2)),
        (Slot("figures", "figures", folds=False),),
        (Slot("gain", "chart", 1.0), Slot("parameters", "table", 1.0)),
    )

    def __init__(self, table: Any = None) -> None:
        super().__init__(table)
        self.groups = (self.shelf.group(together=True), group(self.shelf.first.methods))

    def law(self, values: Values) -> Law:
        """One law of all methods.

        Raises:
            ValueError: a table of one method, or of none.
        """
        methods = self.table(values).methods
        if len(methods) < 2:
            there = f"only {methods[0]!r}" if methods else "no column 'method'"
            raise ValueError(f"A comparison needs runs of two methods; this table has {there}")
        return law_across(comparing(values), methods)

    def fit_settings(self, values: Values) -> Settings:
        """The lab's, with the form's resamples."""
        return replace(settings_of(Fitting()), bootstrap=comparing(values).resamples)

    def chosen(self, values: Values) -> Selection:
        """Its rows that are used, the FLOPs of each method counted for itself."""
        found = super().chosen(values)
        if not found.methods or COMPUTE not in found.runs.columns:
            return found
        return counted_each(found, costs_of(found, count_of(runs_knobs(values))))

    def known(self, values: Values) -> tuple[Fitted, Recorded | None] | None:
        """Nothing, where there are no two methods."""
        return super().known(values) if len(self.table(values).methods) > 1 else None

    def picture(self, values: Values, found: Fitted) -> Picture:
        table, chosen, knobs = self.table(values), self.chosen(values), comparing(values)
        first = table.methods[0] if knobs.baseline == "first" else knobs.baseline
        if first not in table.methods:
            raise ValueError(f"Baseline {first!r} is none of {', '.join(table.methods)}")
        methods = [first, *(name for name in table.methods if name != first)]
        slots = {name: place for place, name in enumerate(methods)}
        at = knobs.ahead * chosen.largest
        costs = costs_of(chosen, count_of(runs_knobs(values)))
        contents: dict[str, Content] = {
            "gains": ChartContent.of(gain_ranges(found.fit, methods, at, chosen, slots, costs)),
            "losses": ChartContent.of(least_losses(found.fit, methods, chosen, slots, costs)),
            "figures": figures(found.fit, methods, at, chosen, table, costs),
            "gain": ChartContent.of(gain_curves(found.fit, methods, chosen, slots, costs)),
            "parameters": parameters(found.fit, methods, slots),
        }
        details = (
            "" if table.real else "simulated",
            f"{len(found.fit.runs)} runs of {len(methods)} methods",
        )
        return Picture(contents, basis="measured", details=details)


def costs_of(chosen: Selection, key: str) -> Costs:
    """How each method's FLOPs are counted: by its own runs, in the convention in use.

    Raises:
        ValueError: a method without that count.
    """
    names, found = chosen.runs["method"].astype(str), {}
    for name in chosen.methods:
        try:
            found[name] = accounting(chosen.runs[names == name], key, body=chosen.body).cost
        except ValueError as fault:
            raise ValueError(f"{name}: {fault}") from None
    return found


def counted_each(chosen: Selection, costs: Costs) -> Selection:
    """The same rows, each with its own method's FLOPs."""
    runs = chosen.runs
    flops = runs[COMPUTE].copy()
    for name, cost in costs.items():
        own = runs["method"].astype(str) == name
        size, tokens = (as_numbers(runs.loc[own, column]) for column in ("n_params", "n_tokens"))
        flops.loc[own] = cost(size.where(size > 0)) * size * tokens.where(tokens > 0)
    return replace(chosen, runs=runs.assign(**{COMPUTE: flops}))


def gain_at(fit: Fit, method: str, baseline: str, compute: float, costs: Costs) -> dict[str, float]:
    """The gain at one budget, with its interval where there are resamples."""
    found = gains.gains(fit, method, baseline, np.asarray([compute]), costs)
    return {key: float(value[0]) for key, value in found.items()}


def gain_ranges(
    fit: Fit, methods: Sequence[str], compute: float, chosen: Selection,
    slots: Mapping[str, int], costs: Costs,
) -> Chart:  # fmt: skip
    """Each method's gain over the baseline at one budget."""
    rows = []
    for name in methods[1:]:
        found = gain_at(fit, name, methods[0], compute, costs)
        rows.append({"group": name, "method": name, "gain": found["value"],
                     "low": found.get("low"), "high": found.get("high")})  # fmt: skip
    band = " · bars: 95 %" if fit.draws is not None else ""
    return ranges(
        rows, Axis("gain", "Compute-equivalent gain", unit="×"),
        title="How much compute does a method save?",
        subtitle=f"At {numbers.number(compute)} FLOP, {chosen.counted.title} · {methods[0]} = 1"
        f"{band}",
        level=1.0, slots=slots,
    )  # fmt: skip


def gain_curves(
    fit: Fit, methods: Sequence[str], chosen: Selection, slots: Mapping[str, int], costs: Costs
) -> Chart:
    """The gain against compute, with bands."""
    grid = np.geomspace(chosen.smallest, AHEAD * chosen.largest, 41)
    rows = []
    for name in methods[1:]:
        found = gains.gains(fit, name, methods[0], grid, costs)
        rows += [
            {"method": name, COMPUTE: float(c), "predicted": True,
             "gain": float(found["value"][k]),
             "low": float(found["low"][k]) if "low" in found else None,
             "high": float(found["high"][k]) if "high" in found else None}
            for k, c in enumerate(grid)
        ]  # fmt: skip
    law: Any = fit.law
    shared = ", ".join(SYMBOLS.get(name, name) for name in law.shared)
    return lines(
        rows, compute_axis(chosen), Axis("gain", "Compute-equivalent gain", unit="×"),
        title="Does the gain last as compute grows?",
        subtitle=f"{f'{shared} shared' if shared else 'Nothing shared'} · 95 % · line: no gain",
        slots=slots, level=1.0, extrapolated=chosen.largest,
    )  # fmt: skip


def least_losses(
    fit: Fit, methods: Sequence[str], chosen: Selection, slots: Mapping[str, int], costs: Costs
) -> Chart:
    """Each method's least loss against compute, and the best run of each budget."""
    from workbench.labs.scaling.fits import best_of_budgets

    grid = np.geomspace(chosen.largest, AHEAD * chosen.largest, 5)[1:]
    rows: list[dict[str, Any]] = []
    for name in methods:
        found = gains.losses(fit, name, grid, costs[name])
        best = best_of_budgets(chosen.runs[chosen.runs["method"].astype(str) == name])
        rows += [
            {"method": name, COMPUTE: float(run[COMPUTE]), "loss": float(run["loss"]),
             "predicted": False}
            for _, run in best.sort_values(COMPUTE).iterrows()
        ]  # fmt: skip
        rows += [
            {"method": name, COMPUTE: float(c), "loss": float(value), "predicted": True}
            for c, value in zip(grid, found["value"], strict=True)
        ]
    return lines(
        rows, compute_axis(chosen), LOSS, title="Which method learns more from the same compute?",
        subtitle="Filled: the best run of each budget · cased: the law", slots=slots, marks=True,
        extrapolated=chosen.largest, height=230,
    )  # fmt: skip


def figures(
    fit: Fit, methods: Sequence[str], compute: float, chosen: Selection, table: Table, costs: Costs
) -> FiguresContent:
    """The gains with one sentence."""
    found = []
    words = []
    for name in methods[1:4]:
        each = gain_at(fit, name, methods[0], compute, costs)
        ends = ""
        if "low" in each:
            ends = f"{numbers.number(each['low'])} – {numbers.number(each['high'])}"
        found.append(Figure(f"Gain of {name}", numbers.number(each["value"]), "×",
                            ends or "no interval", "predicted"))  # fmt: skip
        words.append(_sentence(name, methods[0], each))
    loss = gains.losses(fit, methods[0], np.asarray([compute]), costs[methods[0]])
    ends = f"{loss['low'][0]:.3f} – {loss['high'][0]:.3f}" if "low" in loss else "no interval"
    label = f"Loss of {methods[0]}"
    found.append(Figure(label, f"{loss['value'][0]:.3f}", "nats", ends, "predicted"))
    beyond = compute / chosen.largest
    where = f", {numbers.number(beyond, 2)} times the largest run" if beyond > 1 else ""
    said = "" if table.real else "Simulated runs. "
    title = f"At {numbers.number(compute)} FLOP {chosen.counted.title}{where}"
    return FiguresContent(found, title, said + "; ".join(words) + ".")


def _sentence(name: str, baseline: str, found: Mapping[str, float]) -> str:
    value = found["value"]
    if "low" in found and found["low"] <= 1 <= found["high"]:
        return f"{name} is not told apart from {baseline} by these runs"
    if value <= 0:
        return f"{name} never reaches the loss of {baseline}"
    way = "less" if value > 1 else "more"
    times = value if value > 1 else 1 / value
    return f"{name} needs {numbers.number(times)} times {way} compute than {baseline}"


def parameters(fit: Fit, methods: Sequence[str], slots: Mapping[str, int]) -> TableContent:
    """Every method's parameters; those that are shared are the same in each row."""
    law: Any = fit.law
    names = list(law.law.names)
    rows: list[Sequence[Cell | str]] = []
    for method in methods:
        own = law.of(method, fit.fitted)
        cells = [Cell(f"{own[name]:.4g}", strong=name not in law.shared) for name in names]
        rows.append([Cell(method, method=slots[method]), *cells])
    columns = [
        Column("Method"),
        *(Column(SYMBOLS.get(n, n), number=True, optional=n in law.shared) for n in names),
    ]
    about = f"Bold: its own · {how(fit)}"
    return TableContent(columns, rows, "Which numbers does each have?", about)
