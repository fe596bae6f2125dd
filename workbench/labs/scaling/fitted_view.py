"""A panel of which everything follows from one law on one table: known, shipped, or fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.figures import numbers
from workbench.labs.scaling.fit_form import Fitting, law_of, settings_of
from workbench.labs.scaling.fits import Fits, Fitted, first_known
from workbench.labs.scaling.lab_view import recorded_as
from workbench.labs.scaling.recorded import Recorded
from workbench.labs.scaling.runs_form import runs_knobs
from workbench.labs.scaling.selection import Selection, selected, told
from workbench.labs.scaling.table_view import TableView, named, unread
from workbench.labs.scaling.unique_data import with_unique
from workbench.panels.panel import Panel
from workbench.panels.picture import Picture
from workbench.panels.view import Problem, Values
from workbench.progress import Report
from workbench.scaling.laws.law import Law
from workbench.scaling.result import Fit
from workbench.scaling.settings import Settings


@dataclass(frozen=True)
class Reach:
    """Between which FLOPs a field of the form lies, by the runs that the page opened on.

    Attributes:
        label, field, group: the field, on the screen and in the form.
        low, high: FLOPs.
    """

    label: str
    field: str
    group: str
    low: float
    high: float


def opened(
    view: FittedView, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel of a view, which begins with a fit where none is known.

    Args:
        view: which.
        settings: what "Copy settings" gave.
    """
    panel = Panel(view, settings=settings)
    if not view.is_known(panel.values):
        panel.run()
    return panel


class FittedView(TableView):
    """A view of a law on a table.

    Args:
        table: a path, a data frame, or a study; what ships without one.

    Raises:
        LogError, TypeError: a table that cannot be read.
    """

    def __init__(self, table: Any = None) -> None:
        super().__init__(table)
        self.fits = Fits()

    def law(self, values: Values) -> Law:
        """The law; the lab's first one where there is no choice."""
        return law_of(Fitting())

    def fit_settings(self, values: Values) -> Settings:
        """How it is fitted."""
        return settings_of(Fitting())

    def held_out(self, values: Values) -> float:
        """The largest compute over this is where the test begins."""
        return Fitting().held_out

    def chosen(self, values: Values) -> Selection:
        """Its rows that are used."""
        return selected(self.table(values), runs_knobs(values))

    def known(self, values: Values) -> tuple[Fitted, Recorded | None] | None:
        """What is known without fitting."""
        return first_known(
            self.fits, self.law(values), self.fit_settings(values), self.chosen(values).runs,
            self.held_out(values),
        )  # fmt: skip

    def picture(self, values: Values, found: Fitted) -> Picture:
        """What a fit shows."""
        raise NotImplementedError

    def check(self, values: Values) -> list[Problem]:
        """What keeps the law from being fitted, and the rows that would be left out."""
        from workbench.scaling.runs_table import problems

        try:
            chosen, law = self.chosen(values), self.law(values)
        except (ValueError, OSError) as fault:
            return [unread(values, fault)]
        return told(problems(law, chosen.runs))

    def out_of_reach(self, values: Values, reach: Reach) -> list[Problem]:
        """Whether the largest of these runs lies where a field does not go, and what to do."""
        chosen = self.chosen(values)
        if not (chosen.largest < reach.low or chosen.largest > reach.high):
            return []
        here, there = (
            f"{numbers.number(low)} – {numbers.number(high)} FLOP"
            for low, high in ((chosen.smallest, chosen.largest), (reach.low, reach.high))
        )
        words = (
            f"{reach.label} goes with the table that the page opened on, {there}; these runs have "
            f"{here}: open the page on them, scaling.{self.opener}({self.source(values)})"
        )
        return [Problem("warn", reach.field, words, reach.group)]

    def is_known(self, values: Values) -> bool:
        """Whether a picture stands, or none can, before anything was fitted here."""
        if any(problem.level == "error" for problem in self.check(values)):
            return True  # nothing can be fitted: the form says why
        return self.known(values) is not None

    def predict(self, values: Values) -> Picture | None:
        """What a known fit shows; else the last picture stays until there is one."""
        known = self.known(values)
        if known is None:
            return None
        found, shipped = known
        picture = self.picture(values, found)
        return picture if shipped is None else recorded_as(picture, shipped, self.table(values))

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The law at once, then its test, then intervals."""
        for found in self.fits.fitted(
            self.law(values), self.fit_settings(values), self.chosen(values).runs,
            self.held_out(values), report,
        ):  # fmt: skip
            yield self.picture(values, found)

    def about(self, values: Values) -> Mapping[str, Any]:
        """The table, its methods, what was left out, how compute is counted, what N counts."""
        from workbench.scaling.record import about

        chosen, fit = self.chosen(values), self.fit_of(values)
        gone = [*chosen.left_out, *(() if fit is None else fit.dropped)]
        table = named(self.table(values))
        return about(table, chosen.methods, gone, chosen.counted.title, chosen.sizes)

    def fit_of(self, values: Values) -> Fit | None:
        """The law in use."""
        known = self.known(values)
        return None if known is None else with_unique(known[0].fit)
