"""Which rows of a table are fitted, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.labs.scaling.accounting import Accounting, accounting
from workbench.labs.scaling.runs_form import RUNS, Runs, chosen_methods, count_of, size_column
from workbench.labs.scaling.tables import Table
from workbench.panels.view import Problem, Values
from workbench.scaling.selecting import (
    BODY,
    EPOCHS,
    Filter,
    as_numbers,
    body_as_size,
    counts_body,
    kept,
    of_methods,
)
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.runs_table import Problem as Fault

FILTERS = "filters"
COMPUTE = "flops"
"""Column that every selection has: compute in the convention in use."""


class Filters(Knobs):
    """Rows that are left out."""

    ratio: float = knob(
        0.0, ge=0, le=1000, step=0.5, label="Least D / N",
        help="Runs with fewer tokens for each parameter are left out.",
    )  # fmt: skip
    epochs: float = knob(
        EPOCHS, ge=1, le=1000, scale="log", label="Most epochs", paper=EPOCHS,
        help="Runs that saw their data more often are left out, where the table has unique_tokens: "
        "up to four epochs a repeated token is worth nearly a new one. A law of repeated data "
        "takes them all.",
        source="Muennighoff et al. 2023",
    )  # fmt: skip
    highest: int = knob(
        0, ge=0, le=100, label="Drop highest losses", unit="runs",
        help="So many runs of the highest losses are left out.",
        source="Besiroglu et al. 2024 drop five",
    )  # fmt: skip
    finished: bool = knob(
        True, label="Ended schedules only",
        help="Leave out points read while the learning rate was high: a finished run of that "
        "length does better. Where a log has no learning rate, all but each run’s last point.",
    )  # fmt: skip
    left_out: str = knob(
        "", label="Rows left out",
        help="Labels of rows, with commas. A click on a point of the residuals adds it, and a "
        "second one takes it back.",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows with `flops`, and what was left out.

    Attributes:
        runs: what is fitted.
        counted: how their compute is counted.
        methods: whose runs they are.
        left_out: in words.
        body: whether N leaves the embedding out.
    """

    runs: pd.DataFrame
    counted: Accounting
    methods: Sequence[str]
    left_out: Sequence[str] = ()
    body: bool = False

    @property
    def sizes(self) -> str:
        """What N counts, for the screen."""
        return "parameters without embedding" if self.body else "parameters"

    @property
    def largest(self) -> float:
        """Compute of the largest run, FLOPs."""
        return float(self._compute().max())

    @property
    def smallest(self) -> float:
        """Compute of the smallest run, FLOPs."""
        return float(self._compute().min())

    def _compute(self) -> pd.Series:
        """FLOPs of each run.

        Raises:
            ValueError: a table without sizes or tokens.
        """
        if COMPUTE in self.runs.columns:
            return self.runs[COMPUTE]
        there = ", ".join(map(str, self.runs.columns))
        raise ValueError(f"Compute needs n_params and n_tokens; the table has {there}")


def selected(table: Table, knobs: Runs, filters: Filters | None = None) -> Selection:
    """The rows of a table that settings ask for.

    A table whose only N leaves the embedding out is read with that N.

    Raises:
        ValueError: a method or a FLOP count that the table does not have, or no row left.
    """
    methods = chosen_methods(knobs, table)
    body = size_column(knobs) == BODY or counts_body(table.runs)
    runs = of_methods(body_as_size(table.runs) if body else table.runs, methods)
    runs, words = kept(runs, filter_of(filters or Filters()))
    counted = accounting(runs, count_of(knobs), body=body)
    if {"n_params", "n_tokens"} <= set(runs.columns):
        size, tokens = (as_numbers(runs[name]) for name in ("n_params", "n_tokens"))
        each = counted.compute(size.where(size > 0), tokens.where(tokens > 0))
        runs = runs.assign(**{COMPUTE: each})
    if runs.empty:
        raise ValueError(f"No run is left: {', '.join(words) or 'the table has none'}")
    return Selection(runs, counted, methods, words, body)


def selected_curves(table: Table, knobs: Runs) -> Selection | None:
    """The rows by step that settings ask for, `compute` among their columns; None without any.

    Raises:
        ValueError: as of `selected`.
    """
    if table.curves is None:
        return None
    chosen = selected(replace(table, runs=table.curves), knobs, Filters(finished=False))
    if COMPUTE not in chosen.runs.columns:
        return None
    return replace(chosen, runs=chosen.runs.assign(compute=chosen.runs[COMPUTE]))


def filter_of(knobs: Filters) -> Filter:
    """Which rows a form leaves out."""
    by_hand = frozenset(part.strip() for part in knobs.left_out.split(",") if part.strip())
    return Filter(knobs.ratio, knobs.epochs, knobs.highest, knobs.finished, by_hand)


def told(found: Sequence[Fault]) -> list[Problem]:
    """What is wrong with a table, for the form: what is fatal, else which rows are left out."""
    fatal = [Problem("error", "source", str(one), RUNS) for one in found if one.fatal]
    if fatal or not found:
        return fatal
    words = "; ".join(str(one) for one in found)
    return [Problem("warn", "source", f"Left out: {words}", RUNS)]


def toggled(left_out: str, label: str) -> str:
    """The list of rows with one added, or taken back."""
    rows = [part.strip() for part in left_out.split(",") if part.strip()]
    kept = [row for row in rows if row != label] if label in rows else [*rows, label]
    return ", ".join(kept)


def filters(values: Values) -> Filters:
    """Which rows are left out; none where the form does not ask."""
    knobs = values.get(FILTERS, Filters())
    assert isinstance(knobs, Filters), "the form's group of this name"
    return knobs
