"""Which rows of a table are fitted, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.labs.scaling.accounting import Accounting, accounting
from workbench.labs.scaling.runs_form import RUNS, Runs, chosen_methods, count_of, size_column
from workbench.labs.scaling.tables import Table
from workbench.panels.view import Problem, Values
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
        4.0, ge=1, le=1000, scale="log", label="Most epochs", paper=4.0,
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
        "length does better.",
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
    """

    runs: pd.DataFrame
    counted: Accounting
    methods: Sequence[str]
    left_out: Sequence[str] = ()

    @property
    def largest(self) -> float:
        """Compute of the largest run, FLOPs."""
        return float(self.runs[COMPUTE].max())

    @property
    def smallest(self) -> float:
        """Compute of the smallest run, FLOPs."""
        return float(self.runs[COMPUTE].min())


def selected(table: Table, knobs: Runs, filters: Filters | None = None) -> Selection:
    """The rows of a table that settings ask for.

    Raises:
        ValueError: a method or a FLOP count that the table does not have, or no row left.
    """
    filters = filters or Filters()
    methods, runs, words = chosen_methods(knobs, table), table.runs, []
    if table.methods:
        runs = runs[runs["method"].astype(str).isin(methods)]
    for rows, why in _filtered(runs, filters):
        if len(rows):
            runs = runs.drop(index=rows)
            words.append(f"{len(rows)} {why}")
    if (column := size_column(knobs)) != "n_params":
        if column not in runs.columns:
            there = ", ".join(map(str, runs.columns))
            raise ValueError(f"N without the embedding needs column {column}; there are {there}")
        runs = runs.assign(n_params=runs[column])
    counted = accounting(runs, count_of(knobs))
    if {"n_params", "n_tokens"} <= set(runs.columns):
        size, tokens = (_number(runs[name]) for name in ("n_params", "n_tokens"))
        each = counted.compute(size.where(size > 0), tokens.where(tokens > 0))
        runs = runs.assign(**{COMPUTE: each})
    if runs.empty:
        raise ValueError(f"No run is left: {', '.join(words) or 'the table has none'}")
    return Selection(runs, counted, methods, words)


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


def _filtered(runs: pd.DataFrame, filters: Filters) -> list[tuple[Any, str]]:
    """Labels of rows to leave out, and why; each filter sees what all rows are."""
    found: list[tuple[Any, str]] = []
    gone: set[Any] = set()

    def leave(labels: Any, why: str) -> None:
        new = [label for label in labels if label not in gone]
        gone.update(new)
        found.append((new, why))

    if filters.finished and "mid_schedule" in runs.columns:
        leave(runs.index[runs["mid_schedule"].fillna(False).astype(bool)], "mid-schedule")
    if filters.ratio > 0 and {"n_params", "n_tokens"} <= set(runs.columns):
        each = _number(runs["n_tokens"]) / _number(runs["n_params"])
        leave(runs.index[each < filters.ratio], f"below {filters.ratio:g} tokens a parameter")
    if {"n_tokens", "unique_tokens"} <= set(runs.columns):
        seen = _number(runs["n_tokens"]) / _number(runs["unique_tokens"])
        leave(runs.index[seen > filters.epochs * (1 + 1e-9)], f"above {filters.epochs:g} epochs")
    by_hand = {part.strip() for part in filters.left_out.split(",") if part.strip()}
    leave([label for label in runs.index if str(label) in by_hand], "left out by hand")
    if filters.highest and "loss" in runs.columns:
        losses = _number(runs["loss"]).drop(index=list(gone))
        leave(losses.nlargest(filters.highest).index, "of the highest losses")
    return found


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


def _number(column: pd.Series) -> pd.Series:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype(float)
