"""Fit: a table becomes a law, which is tested on its largest runs before it is believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.labs.scaling import claims, fit_charts, fit_tables, parabola_charts, profile_chart
from workbench.labs.scaling.decision import Decision, ahead_of, decide
from workbench.labs.scaling.fit_form import (
    FIT,
    OF_COMPUTE,
    REPEATED,
    drawn_apart,
    fitting,
    form_for,
    law_of,
    settings_of,
)
from workbench.labs.scaling.fits import Fitted, best_of_budgets
from workbench.labs.scaling.fitted_view import FittedView, opened
from workbench.labs.scaling.lab_view import RECORD
from workbench.labs.scaling.other_ways import Exponent, exponents
from workbench.labs.scaling.recorded import rows_key
from workbench.labs.scaling.runs_form import runs_knobs
from workbench.labs.scaling.selection import (
    COMPUTE,
    FILTERS,
    Filters,
    Selection,
    filters,
    selected,
    selected_curves,
    toggled,
)
from workbench.labs.scaling.unique_data import unique_words, with_unique
from workbench.panels.charted import EXPORTS, others, waiting
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import KnobGroup, Preset, Problem, Slot, Values
from workbench.progress import Report
from workbench.scaling.laws.law import Law
from workbench.scaling.result import Fit
from workbench.scaling.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

PRESETS = (
    Preset("Chinchilla on these runs", {FIT: {"law": "chinchilla"}}),
    Preset("One exponent for both", {FIT: {"law": "tied"}}),
    Preset("Loss against compute alone", {FIT: {"law": "loss-compute"}}),
)


def fit(
    table: Any = None, *, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel that fits a law.

    Args:
        table: a path, a data frame, or a study; the shipped sweep without one.
        settings: what "Copy settings" gave.

    Raises:
        LogError: a file that cannot be read, or a study without a finished run.
        TypeError: none of these.
    """
    view = FitView(table)
    return opened(view, settings)


class FitView(FittedView):
    """A law on a table: its test, a sentence, curves, contours, residuals, exponents.

    Args:
        table: see `fit`.
    """

    title = "Fit"
    opener = "fit"
    presets = PRESETS
    exports = (
        *EXPORTS, RECORD,
        *others(curves="Curves", contours="Contours", parabolas="Parabolas",
                residuals="Residuals", exponents="Exponents or profile"),
    )  # fmt: skip
    layout = (
        (Slot("test", "chart", 1.0), Slot("contours", "chart", 1.1)),
        (Slot("said", "figures", folds=False),),
        (Slot("curves", "chart", 1.0), Slot("parabolas", "chart", 1.1)),
        (Slot("parameters", "table"),),
        (
            Slot("residuals", "chart", 1.0, folded=True),
            Slot("exponents", "chart", 1.0, folded=True),
        ),
        (Slot("read", "table", folded=True),),
    )

    def __init__(self, table: Any = None) -> None:
        super().__init__(table)
        self.groups = (
            self.shelf.group(columns=True, points=True),
            KnobGroup(FILTERS, "Filters", Filters),
            KnobGroup(FIT, "Law", form_for(self.shelf.first.runs)),
        )
        self._others: dict[str, dict[str, Exponent]] = {}
        self._profiles: dict[tuple[str, Settings], pd.DataFrame] = {}
        self._left_out, self._labels = "", frozenset[str]()

    def check(self, values: Values) -> list[Problem]:
        """What keeps the law from being fitted, and the rows that would be left out."""
        self._left_out = filters(values).left_out
        found = [*super().check(values), *self._on_the_way(values)]
        if any(problem.level == "error" for problem in found):
            return found
        self._labels = frozenset(map(str, self.table(values).runs.index))
        return [*found, *drawn_apart(self.chosen(values), fitting(values))]

    def _on_the_way(self, values: Values) -> list[Problem]:
        """Whether all points of a log are asked for and a filter takes most of them out again."""
        try:
            taken = self.table(values).assumed
        except (ValueError, OSError):
            return []
        if not (taken and filters(values).finished):
            return []
        words = f"All points are asked for, and {taken}: switch this off to fit them too"
        return [Problem("warn", "finished", words, FILTERS)]

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The law at once, then its test, then intervals."""
        from workbench.measure import device

        report(0, 3, "Reading the table")
        self.remember(values)
        here = device.label("float64")
        for picture in super().run(values, report):
            yield replace(picture, device=here)
        known = self.known(values)
        if fitting(values).law == REPEATED and known is not None:
            fit = known[0].fit
            key = _profile_key(fit)
            if key not in self._profiles:
                self._profiles[key] = profile_chart.profiled(fit, report)
            yield replace(self.picture(values, known[0]), device=here)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The runs, their residuals, the test."""
        known = self.known(values)
        if known is None:
            return {}
        found = known[0]
        runs = found.fit.runs.assign(residual=found.fit.residuals)
        more = {
            "tested": found.tested,
            "parabolas": parabola_charts.vertices(runs),
            "profile": self._profiles.get(_profile_key(found.fit)),
        }
        return {"runs": runs, **{name: rows for name, rows in more.items() if rows is not None}}

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked run is left out; one that is left out comes back."""
        if key not in self._labels:
            return None
        return {FILTERS: {"left_out": toggled(self._left_out, key)}}

    def law(self, values: Values) -> Law:
        """The form's."""
        return law_of(fitting(values), self.table(values).runs)

    def fit_settings(self, values: Values) -> Settings:
        """The form's."""
        return settings_of(fitting(values))

    def held_out(self, values: Values) -> float:
        """The form's."""
        return fitting(values).held_out

    def chosen(self, values: Values) -> Selection:
        """Rows that the filters leave; for a law of compute alone the best of each budget."""
        left_out = filters(values)
        if fitting(values).law == REPEATED:
            left_out = left_out.model_copy(update={"epochs": math.inf})
        chosen = selected(self.table(values), runs_knobs(values), left_out)
        whole = {"n_params", "n_tokens", "loss"} <= set(chosen.runs.columns)
        if fitting(values).law in OF_COMPUTE and whole:
            best = best_of_budgets(chosen.runs)
            beaten = len(chosen.runs) - len(best)
            gone = [f"{beaten} not the best of their budget"] if beaten else []
            return replace(chosen, runs=best, left_out=[*chosen.left_out, *gone])
        return chosen

    def picture(self, values: Values, found: Fitted) -> Picture:
        table, knobs = self.table(values), fitting(values)
        chosen = self.chosen(values)
        used = replace(chosen, runs=_with_compute(chosen, found.fit))
        found = replace(found, fit=with_unique(replace(found.fit, runs=used.runs)))
        more = self._by_other_ways(found, values)
        decision = _decision(found, used, knobs.ahead)
        contents: dict[str, Content] = {
            "test": EmptyContent(fit_charts.TEST, found.why)
            if found.tested is None
            else ChartContent.of(
                fit_charts.foreseen(found.tested, knobs.held_out, chosen.counted.title)
            ),
            **_laws(found, used, decision),
            "said": fit_tables.said(
                found,
                decision or ahead_of(found, used, knobs.ahead),
                ("" if table.real else "Simulated runs. ") + unique_words(found.fit),
            ),
            "parabolas": parabola_charts.parabolas(used.runs, fit_charts.size_axis(used)),
            "residuals": ChartContent.of(fit_charts.residuals(found, used)),
            "parameters": fit_tables.parameters(found),
            "exponents": self._exponents(found, more),
            "read": fit_tables.read(table, chosen, found.fit.dropped),
        }
        details = (
            "" if table.real else "simulated",
            f"{len(found.fit.runs)} runs",
            f"{len(found.fit.dropped)} kinds of rows left out" if found.fit.dropped else "",
        )
        ordered = {slot.id: contents[slot.id] for row in self.layout for slot in row}
        card = claims.equal_growth(found, more, table)
        return Picture(ordered, claim=card, basis="measured", details=details)

    def _exponents(self, found: Fitted, more: Mapping[str, Exponent]) -> Content:
        """The exponents; for repeated data the profile, which follows the fit."""
        fit = found.fit
        if fit.law.key == REPEATED:
            table = self._profiles.get(_profile_key(fit))
            if table is None:
                return EmptyContent(profile_chart.ASKED, "The profile follows the intervals.")
            return ChartContent.of(profile_chart.chart(table, fit))
        growth = fit_charts.exponents(found, more)
        if growth is None:
            words = f"{fit.law.title} has no such exponents."
            return EmptyContent(fit_charts.EXPONENTS_ASKED, words)
        return ChartContent.of(growth)

    def _by_other_ways(self, found: Fitted, values: Values) -> dict[str, Exponent]:
        """Exponents by the envelope, parabolas and projection, where these runs allow them."""
        key = rows_key(found.fit.law, found.fit.runs)
        if key not in self._others:
            curves = selected_curves(self.table(values), runs_knobs(values))
            self._others[key] = exponents(found.fit, None if curves is None else curves.runs)
        return self._others[key]


def _profile_key(fit: Fit) -> tuple[str, Settings]:
    return rows_key(fit.law, fit.runs), fit.settings


def _with_compute(chosen: Selection, fit: Fit) -> pd.DataFrame:
    """The fitted rows, with compute in the convention in use where they have sizes and tokens.

    A recorded fit has no such column.
    """
    if not {"n_params", "n_tokens"} <= set(fit.runs.columns):
        return fit.runs
    size, tokens = (fit.runs[name].astype(float) for name in ("n_params", "n_tokens"))
    return fit.runs.assign(**{COMPUTE: chosen.counted.compute(size, tokens)})


def _decision(found: Fitted, chosen: Selection, ahead: float) -> Decision | None:
    if COMPUTE not in chosen.runs.columns:
        return None
    try:
        return decide(found, chosen, ahead * chosen.largest)
    except TypeError:  # the law divides nothing
        return None


def _laws(
    found: Fitted, chosen: Selection, decision: Decision | None
) -> dict[str, Content]:  # fmt: skip
    """Contours and curves of a law of size and tokens; of one of compute, its curve."""
    if found.fit.law.key in OF_COMPUTE:
        words = f"{found.fit.law.title} reads compute alone."
        return {
            "contours": ChartContent.of(fit_charts.against_compute(found, chosen)),
            **waiting(words, curves=fit_charts.CURVES),
        }
    if len(found.fit.law.columns) == 1:
        words = f"{found.fit.law.title} reads {found.fit.law.columns[0]} alone."
        return {
            "contours": ChartContent.of(fit_charts.against_column(found)),
            **waiting(words, curves=fit_charts.CURVES),
        }
    curves = ChartContent.of(fit_charts.isoflop(found, chosen)) if decision else None
    if curves is None:
        words = f"{found.fit.law.title} gives no division of compute."
        return waiting(words, curves=fit_charts.CURVES, contours=fit_charts.CONTOURS)
    return {"contours": ChartContent.of(fit_charts.frontier(found, chosen)), "curves": curves}
