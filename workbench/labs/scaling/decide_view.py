"""Decide: how to spend a budget, what it costs, and how far beyond the runs that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.figures import numbers
from workbench.labs.scaling import decide_charts, spending, training_bill
from workbench.labs.scaling.decide_form import (
    DECISION,
    MACHINE,
    decision,
    ends,
    groups,
    machine,
    placement,
    presets,
    unique_tokens,
)
from workbench.labs.scaling.decision import decide as decided
from workbench.labs.scaling.decision import interval
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.fitted_view import FittedView, Reach, opened
from workbench.labs.scaling.lab_view import RECORD
from workbench.labs.scaling.recorded import Recorded
from workbench.labs.scaling.selection import Selection, selected
from workbench.labs.scaling.tables import Table
from workbench.labs.scaling.training_bill import Bills, days, money
from workbench.labs.scaling.unique_data import (
    most_unique,
    reads_unique,
    unique_words,
    with_unique,
)
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, Figure, FiguresContent, Picture
from workbench.panels.view import Problem, Slot, Values
from workbench.progress import Report
from workbench.scaling.result import Fit

BUDGETS = 61
"""Rows of the allocation that is exported."""


def decide(
    table: Any = None,
    *,
    fit: Fit | str | Path | None = None,
    to: float | None = None,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The panel that divides a budget.

    Args:
        table: a path, a data frame, or a study; the shipped sweep without one.
        fit: a fit, or the file of its record, instead of one made here.
        to: FLOPs at which the slider ends; two decades above the largest run otherwise.
        settings: what "Copy settings" gave.

    Raises:
        LogError, ValueError: a file that cannot be read.
    """
    view = DecideView(table, Fit.load(Path(fit)) if isinstance(fit, str | Path) else fit, to)
    return opened(view, settings)


class DecideView(FittedView):
    """A budget's division with intervals, the price of other shapes, and the machine's bill.

    Args:
        table: see `decide`.
        fit: of other runs than the table's default fit.
        to: see `decide`.

    Raises:
        ValueError: a table without a run whose compute is known.
    """

    title = "Decide"
    opener = "decide"
    exports = (
        *EXPORTS, RECORD,
        *others(losses="Losses", penalty="Other shapes", serving="Serving"),
    )  # fmt: skip
    layout = (
        (Slot("sizes", "chart", 1.1), Slot("losses", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("bill", "table", 1.0),),
        (Slot("ways", "table", 1.0),),
        (Slot("penalty", "chart", 1.0), Slot("serving", "chart", 1.1)),
    )

    def __init__(
        self, table: Any = None, fit: Fit | None = None, to: float | None = None
    ) -> None:  # fmt: skip
        if fit is not None and table is None:
            table = fit.runs
        super().__init__(table)
        self.to, self.fit = to, fit
        runs = self.shelf.group()
        start: Any = runs.knobs.parse({})
        chosen = selected(self.shelf.table(start), start)
        if not chosen.largest > 0:
            raise ValueError("The table has no run with parameters and tokens above 0")
        unique = most_unique(fit) if fit is not None and reads_unique(fit) else None
        self.groups = (runs, *groups(chosen.smallest, chosen.largest, to, unique))
        self.presets = presets(chosen.largest, to)
        low, high = ends(chosen.smallest, chosen.largest, to)
        self.reach = Reach("Compute", "compute", DECISION, low, max(high, chosen.largest))

    def arguments(self) -> list[str]:
        """The file and the slider's end, as code."""
        own = super().arguments()
        own += [] if self.fit is None else ["fit=fit"]
        return own + ([] if self.to is None else [f"to={self.to:g}"])

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The law of these runs, once; then the budget's division."""
        known = self.known(values)
        if known is None:
            yield from super().run(values, report)
        else:
            yield self.picture(values, known[0])

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The runs, and the division of every budget up to two decades beyond them."""
        fit, chosen = self.fit_of(values), self.chosen(values)
        if fit is None:
            return {}
        grid = np.geomspace(chosen.smallest, 100 * chosen.largest, BUDGETS)
        return {"runs": fit.runs, "allocation": chosen.counted.allocation(fit, grid)}

    def about(self, values: Values) -> Mapping[str, Any]:
        """Nothing of a fit that was given: its rows were chosen elsewhere."""
        return super().about(values) if self.fit is None else {}

    def known(self, values: Values) -> tuple[Fitted, Recorded | None] | None:
        """The fit that was given, or what is known of the table's."""
        if self.fit is None:
            return super().known(values)
        return Fitted(with_unique(self.fit, unique_tokens(values))), None

    def check(self, values: Values) -> list[Problem]:
        """What keeps the law from being fitted, runs out of reach, a machine that is too small."""
        found = super().check(values)
        if any(problem.level == "error" for problem in found):
            return found
        found += self.out_of_reach(values, self.reach)
        known = self.known(values)
        if known is not None and (words := self._bills(values, known[0]).warning):
            found.append(Problem("warn", "devices", words, MACHINE))
        return found

    def _bills(self, values: Values, found: Fitted) -> Bills:
        """Of the least loss's run."""
        knobs = decision(values)
        start = spending.best(found.fit, self.chosen(values).counted, knobs.compute, knobs.served)
        return training_bill.bills(start, machine(values), placement(values))

    def picture(self, values: Values, found: Fitted) -> Picture:
        table, chosen, knobs = self.table(values), self.chosen(values), decision(values)
        fit, compute = found.fit, knobs.compute
        counted = chosen.counted
        start = spending.best(fit, counted, compute, knobs.served)
        ways = (
            start,
            spending.over_trained(fit, counted, compute, knobs.factor, knobs.served),
            spending.cheapest(fit, counted, start.loss, knobs.served),
        )
        shown = [decide_charts.frontier(fit, chosen, compute, knobs.factor, what)
                 for what in ("n_params", "loss")]  # fmt: skip
        contents: dict[str, Content] = {
            "sizes": ChartContent.of(shown[0]),
            "losses": ChartContent.of(shown[1]),
            "figures": self._figures(values, found, chosen, table),
            "bill": training_bill.table(self._bills(values, found)),
            "ways": decide_charts.table(ways, machine(values), placement(values)),
            "penalty": ChartContent.of(decide_charts.penalty(fit, chosen, compute, knobs.factor)),
            "serving": ChartContent.of(decide_charts.serving(fit, chosen, ways, knobs.served)),
        }
        details = (
            "" if table.real else "simulated",
            f"{fit.law.title}, {len(fit.runs)} runs",
        )
        return Picture(contents, basis="measured", details=details)

    def _figures(
        self, values: Values, found: Fitted, chosen: Selection, table: Table
    ) -> FiguresContent:  # fmt: skip
        knobs, bills = decision(values), self._bills(values, found)
        told = decided(found, chosen, knobs.compute)
        row, here = told.row, bills.here
        figures = [
            Figure("Best size, N", numbers.count(row["n_params"]), "",
                   interval(row, "n_params", numbers.count), "predicted"),
            Figure("Best data, D", numbers.count(row["n_tokens"]), "",
                   interval(row, "n_tokens", numbers.count), "predicted"),
            Figure("Loss", f"{row['loss']:.3f}", "nats",
                   interval(row, "loss", lambda value: f"{value:.3f}"), "predicted"),
            Figure("Time", days(here.cost.days) if here else "–", "",
                   f"{money(here.cost.price)} at your price" if here else "", "predicted"),
            Figure("Memory of each", numbers.memory(here.held.total) if here else "–", "",
                   f"of {numbers.memory(bills.memory)}", "predicted"),
            Figure("Devices needed", str(bills.least.devices) if bills.least else "–", "",
                   "to hold it" if bills.least else "no number holds it", "predicted"),
        ]  # fmt: skip
        words = ("" if table.real else "Simulated runs. ") + unique_words(found.fit) + told.words
        warning = f" {bills.warning}." if bills.warning else ""
        title = f"At {numbers.number(knobs.compute)} FLOP"
        return FiguresContent(figures, title, words + warning)
