"""Plan: a grid of runs whose optima are bracketed, and the single run that tells most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, contours
from workbench.labs.scaling.decision import candidates
from workbench.labs.scaling.fit_charts import AHEAD, compute_axis, size_axis
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.fitted_view import FittedView, Reach, opened
from workbench.labs.scaling.lab_view import RECORD
from workbench.labs.scaling.plan_form import PLAN, Planning, ends, group, planning, presets
from workbench.labs.scaling.selection import COMPUTE, Selection, selected
from workbench.labs.scaling.tables import Table
from workbench.labs.scaling.training_bill import days, money
from workbench.panels.charted import EXPORTS
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
)
from workbench.panels.view import Problem, Slot, Values
from workbench.scaling.parabolas import budgets
from workbench.scaling.plan import IsoFLOP, bracketed, isoflop_plan
from workbench.scaling.result import Fit

NEXT, RAN = "Which run would tell most?", "Was every optimum inside what was run?"

FEWEST = 3
"""Sizes of a budget below which none lies inside the others."""


def plan(
    table: Any = None, *, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel that plans runs.

    Args:
        table: earlier runs, a path, a data frame or a study; the shipped sweep without one.
        settings: what "Copy settings" gave.

    Raises:
        LogError, TypeError: a table that cannot be read.
    """
    view = PlanView(table)
    return opened(view, settings)


class PlanView(FittedView):
    """An IsoFLOP grid against where the optimum may be, and the next best run.

    Args:
        table: see `plan`.
    """

    title = "Plan runs"
    opener = "plan"
    exports = (*EXPORTS, RECORD)
    layout = (
        (Slot("grid", "chart"),),
        (Slot("figures", "figures", folds=False),),
        (Slot("brackets", "table", 1.4), Slot("next", "table", 1.0)),
        (Slot("ran", "table"),),
    )

    def __init__(self, table: Any = None) -> None:
        super().__init__(table)
        runs = self.shelf.group()
        start: Any = runs.knobs.parse({})
        chosen = selected(self.shelf.table(start), start)
        sizes = chosen.runs["n_params"].astype(float)
        between = float(sizes.min()), float(sizes.max())
        self.groups = (runs, group(chosen.smallest, chosen.largest, between))
        low, high = ends(chosen.smallest, chosen.largest)
        self.reach = Reach("First budget", "first", PLAN, low, high)
        self.presets = presets(chosen.largest)

    def check(self, values: Values) -> list[Problem]:
        """A grid the wrong way round, runs that cannot be read, or runs out of reach."""
        knobs = planning(values)
        found = [
            Problem("error", high, f"{high.capitalize()} must be at least {low}: {b:g} is below "
                    f"{a:g}", "plan")
            for low, high, a, b in (("first", "last", knobs.first, knobs.last),
                                    ("smallest", "largest", knobs.smallest, knobs.largest))
            if b < a
        ]  # fmt: skip
        found += super().check(values)
        if any(problem.level == "error" for problem in found):
            return found
        return [*found, *self.out_of_reach(values, self.reach)]

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The plan's runs, to hand to a sweep."""
        fit = self.fit_of(values)
        if fit is None:
            return {}
        made = planned(fit, self.chosen(values), planning(values))
        return {"runs": fit.runs, "plan": made.runs, "brackets": made.brackets}

    def picture(self, values: Values, found: Fitted) -> Picture:
        table, chosen, knobs = self.table(values), self.chosen(values), planning(values)
        made = planned(found.fit, chosen, knobs)
        after = candidates(found, chosen, knobs.target)
        contents: dict[str, Content] = {
            "grid": ChartContent.of(grid(found.fit, chosen, made)),
            "figures": figures(made, table),
            "brackets": brackets(made),
            "next": EmptyContent(NEXT, "This law gives no division of compute.")
            if after is None
            else next_best(after, knobs),
            "ran": ran(chosen),
        }
        details = ("" if table.real else "simulated", f"law of {len(found.fit.runs)} runs")
        return Picture(contents, basis="measured", details=details)


def planned(fit: Fit, chosen: Selection, knobs: Planning) -> IsoFLOP:
    """The grid of a form, in the convention of the runs."""
    return isoflop_plan(
        list(np.geomspace(knobs.first, knobs.last, knobs.budgets)),
        list(np.geomspace(knobs.smallest, knobs.largest, knobs.sizes)),
        batch_tokens=knobs.batch, fit=fit, flops=chosen.counted.a_token, speed=knobs.speed,
        devices=knobs.devices, price=knobs.price,
    )  # fmt: skip


def grid(fit: Fit, chosen: Selection, made: IsoFLOP) -> Chart:
    """Planned runs over compute and size; the frontier with its band as dotted lines."""
    low = min(chosen.smallest, float(made.runs["budget"].min()))
    high = max(float(made.runs["budget"].max()), chosen.largest) * 1.5
    budgets = np.geomspace(low, min(high, AHEAD * 100 * chosen.largest), 25)
    best = chosen.counted.allocation(fit, budgets)
    rows: list[dict[str, Any]] = []
    for name, level in (("n_params_low", 0.0), ("n_params", 1.0), ("n_params_high", 2.0)):
        if name in best.columns:
            rows += [
                {"part": "line" if level != 1.0 else "rule", "level": level, COMPUTE: float(c),
                 "n_params": float(n), "key": None, "label": name}
                for c, n in zip(best["compute"], best[name], strict=True)
            ]  # fmt: skip
    rows += [
        {"part": "run", "level": 0.0, COMPUTE: float(run[COMPUTE]),
         "n_params": float(run["n_params"]), "key": None, "label": "run there is"}
        for _, run in chosen.runs.iterrows()
    ]  # fmt: skip
    missed = set(made.misses["budget"])
    for _, run in made.runs.iterrows():
        point = {"level": 2.0, COMPUTE: float(run["flops"]), "n_params": float(run["n_params"]),
                 "key": None, "label": "planned"}  # fmt: skip
        rows.append({"part": "run", **point})
        if run["budget"] in missed:
            rows.append({"part": "flag", **point})
    return contours(
        rows, compute_axis(chosen), size_axis(chosen), Axis("level", "Which", words="none"),
        title="Do the planned runs bracket the best size?",
        subtitle="Pale: runs there are · dark: planned, ringed where the budget misses · dotted: "
        "the frontier, lines: 95 %",
        extrapolated=chosen.largest, height=250,
    )  # fmt: skip


def figures(made: IsoFLOP, table: Table) -> FiguresContent:
    """How much work the plan is."""
    runs, misses = made.runs, made.misses
    time, price = days(made.hours / 24), money(made.price)
    items = [
        Figure("Runs", str(len(runs)), "", f"at {runs['budget'].nunique()} budgets"),
        Figure("FLOP", numbers.number(made.flops), "", "all runs together"),
        Figure("Time", time, "", "at your speed", "predicted"),
        Figure("Price", price, "", "at your price", "predicted"),
        Figure("Largest model", numbers.count(float(runs["n_params"].max())), "",
               f"{numbers.number(int(runs['steps'].min()))} updates at least"),
        Figure("Bracketed", f"{len(made.brackets) - len(misses)} of {len(made.brackets)}", "",
               "95 % of the best size"),
    ]  # fmt: skip
    if len(misses):
        names = ", ".join(numbers.number(float(c)) for c in misses["budget"])
        words = f"The plan misses the best size at {names} FLOP: widen its sizes."
    else:
        words = "Every budget has runs on both sides of where its best size may be."
    paid = f" and {price}" if made.price else ""
    words += f" All runs together take {time}{paid}."
    said = "" if table.real else "From simulated runs. "
    return FiguresContent(items, "What the plan takes", said + words)


def brackets(made: IsoFLOP) -> TableContent:
    """For each budget where its best size may be, and whether runs lie on both sides."""
    rows: list[Sequence[Cell | str]] = []
    for _, row in made.brackets.iterrows():
        size = numbers.count(row["n_params"])
        between = f"{numbers.count(row['low'])} – {numbers.count(row['high'])}"
        inside = bool(row["bracketed"])
        rows.append([
            numbers.number(row["budget"]), Cell(size, basis="predicted"), between,
            f"{numbers.count(row['smallest'])} – {numbers.count(row['largest'])}",
            Cell("inside" if inside else "missed", verdict="reproduced" if inside else "failed"),
        ])  # fmt: skip
    columns = (
        Column("FLOP"), Column("Best size", number=True),
        Column("95 %", number=True, optional=True),
        Column("Planned", number=True, optional=True), Column("Best is"),
    )  # fmt: skip
    about = "By the law of the runs there are"
    return TableContent(columns, rows, "Is every optimum inside?", about)


def ran(chosen: Selection) -> Content:
    """For each budget that was run, whether its best run lies between smaller and larger ones."""
    import pandas as pd

    several = [
        group.assign(budget=budget) for budget, group in budgets(chosen.runs)
        if group["n_params"].nunique() >= FEWEST
    ]  # fmt: skip
    if not several:
        return EmptyContent(RAN, f"No budget was run at {FEWEST} sizes.")
    rows: list[Sequence[Cell | str]] = []
    for _, row in bracketed(pd.concat(several)).iterrows():
        end = "at the smallest" if row["n_params"] == row["smallest"] else "at the largest"
        inside = bool(row["bracketed"])
        rows.append([
            numbers.number(row["budget"]), Cell(numbers.count(row["n_params"]), basis="measured"),
            f"{numbers.count(row['smallest'])} – {numbers.count(row['largest'])}",
            Cell("inside" if inside else end, verdict="reproduced" if inside else "failed"),
        ])  # fmt: skip
    columns = (
        Column("FLOP"), Column("Best run", number=True), Column("Run", number=True),
        Column("Best is"),
    )  # fmt: skip
    about = "By the losses alone, seeds averaged; at an end the optimum may lie beyond it"
    return TableContent(columns, rows, RAN, about)


def next_best(after: Any, knobs: Planning) -> TableContent:
    """The five runs that take most from the variance of ln D*, for their FLOPs."""
    top = after.head(5)
    most = float(top["per_flop"].iloc[0])
    rows: list[Sequence[Cell | str]] = [
        [
            Cell(numbers.count(run["n_params"]), strong=place == 0),
            numbers.count(run["n_tokens"]), numbers.number(run["flops"]),
            Cell(f"{run['per_flop'] / most:.2f}", share=float(run["per_flop"] / most),
                 basis="predicted"),
        ]
        for place, (_, run) in enumerate(top.iterrows())
    ]  # fmt: skip
    columns = (
        Column("Parameters"), Column("Tokens", number=True),
        Column("FLOP", number=True, optional=True), Column("For a FLOP", number=True),
    )  # fmt: skip
    about = (
        f"What it takes from the variance of ln D* at {numbers.number(knobs.target)} FLOP, to "
        "first order, over the best one’s; among runs no larger than those there are"
    )
    return TableContent(columns, rows, NEXT, about)
