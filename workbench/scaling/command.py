"""`python -m workbench fit`: a law on a table, without a screen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.home import keep_compiled
from workbench.progress import Bar, Throttled
from workbench.scaling.fitting import fit
from workbench.scaling.flops import FLOPS
from workbench.scaling.importing import (
    Choice,
    as_runs,
    assumed,
    completions,
    finished,
    propose,
    put_by_hand,
    read,
    recall,
)
from workbench.scaling.laws import Across, law_named
from workbench.scaling.laws.law import Law
from workbench.scaling.record import about
from workbench.scaling.result import Fit
from workbench.scaling.runs_table import RunsError
from workbench.scaling.selecting import (
    BODY,
    Filter,
    body_as_size,
    counts_body,
    kept,
    methods_of,
    of_methods,
)

BUDGETS = 61
REPEATED = "data-constrained"
"""The law that runs of many epochs are for."""

ALL = "all"


@dataclass(frozen=True)
class Chosen:
    """Which rows of a table are fitted.

    Attributes:
        method: whose; the table's first where empty, `all` for all of them together.
        filters: rows that are left out.
        points: of a log by step, the `last` of each run or `all`.
        size, step_tokens: N, and tokens of an update, where no column has them: `70M`, or
            `small = 70M; large = 1.3B` by run.
    """

    method: str = ""
    filters: Filter = field(default_factory=Filter)
    points: str = "last"
    size: str = ""
    step_tokens: str = ""


def run(
    file: Path,
    law: str,
    out: Path,
    *,
    shared: bool = False,
    drop: bool = False,
    rows: Chosen | None = None,
    **settings: Any,
) -> int:
    """Fits and writes `fit.json`, `allocation.csv`, `residuals.csv`; 0, or 1 with what is wrong.

    What columns were taken for, and which rows were left out, goes to the error stream.

    Args:
        file: a table or a log; or the name of a sweep of the store.
        law: its key.
        out: folder, made where missing.
        shared: one set of exponents for all of the column `method`.
        drop: leave faulty rows out, and say so.
        rows: which are fitted.
        **settings: of `fit`.
    """
    keep_compiled()
    bar = Bar("resampling")
    rows = rows or Chosen()
    try:
        runs, words = brought(file, rows)
        together = shared or law == Across.key
        runs, more, gone = selected(runs, rows, together=together, repeated=law == REPEATED)
        for line in (*words, *more, *(f"left out: {one}" for one in gone)):
            print(line, file=sys.stderr)
        found = fit(
            chosen(law, runs, shared), runs, drop=drop, report=Throttled(bar, 0.5), **settings
        )
    except (RunsError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 1
    finally:
        bar.close()
    write(found, out, _about(file, runs, found, gone))
    print(found.summary())
    return 0


def brought(file: Path, rows: Chosen) -> tuple[pd.DataFrame, list[str]]:
    """The table under this library's names, and what was taken for what.

    Raises:
        LogError, ValueError: as of `importing.bring`.
    """
    source = source_of(file)
    raw = read(source) if isinstance(source, Path) else finished(source)
    choices = recall(raw) or propose(raw)
    for target, words in (("n_params", rows.size), ("tokens_per_step", rows.step_tokens)):
        if words.strip():
            choices = put_by_hand(choices, raw, target, words)
    study = None if isinstance(source, Path) else source
    runs = as_runs(raw, choices, points=rows.points, study=study)
    about = [*map(_told, choices), *completions(choices)]
    if "cluster" in runs.columns and rows.points == ALL and (taken := assumed(runs)):
        about.append(f"{taken}; --unfinished fits them too")
    return runs, about


def source_of(file: Path) -> Any:
    """The file, or where there is none the sweep of this name in the store."""
    from workbench.sweeps import studies

    if file.exists():
        return file
    return next((one for one in studies() if one.name == str(file)), file)


def selected(
    runs: pd.DataFrame, rows: Chosen, *, together: bool = False, repeated: bool = False
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The rows that are fitted, in words how they were chosen, and which are left out.

    Args:
        runs: under this library's names.
        rows: which.
        together: all methods, for a law of several.
        repeated: for a law of repeated data, which takes runs of any number of epochs.

    Raises:
        ValueError: a method that the table does not have, or no row left.
    """
    words = []
    if counts_body(runs):
        runs = body_as_size(runs)
        words.append(f"N is {BODY}: the table has no other, and 6 N D is Kaplan's count")
    runs, about = _of_method(runs, rows.method, together)
    filters = replace(rows.filters, epochs=inf) if repeated else rows.filters
    left, out = kept(runs, filters)
    words += [*about, f"{len(left)} of {len(runs)} rows; {_filters(runs, filters)}"]
    if left.empty:
        raise ValueError(f"no run is left: {', '.join(out) or 'the table has none'}")
    return left, words, list(out)


def _of_method(runs: pd.DataFrame, method: str, together: bool) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the method, and which methods there are."""
    there = methods_of(runs)
    if not there and method in ("", ALL):
        return runs, []
    asked = method or (ALL if together else there[0])
    found = runs if asked == ALL else of_methods(runs, [asked])
    if len(there) < 2:
        return found, []
    how = "" if method or together else "; --method names another, --shared takes all"
    return found, [f"method: {asked}, of {', '.join(there)}{how}"]


def _filters(runs: pd.DataFrame, filters: Filter) -> str:
    """The filters in use that the table has columns for."""
    words = []
    if "unique_tokens" in runs.columns:
        words.append(f"at most {filters.epochs:g} epochs")
    if "mid_schedule" in runs.columns:
        words.append("ended schedules only" if filters.finished else "schedules under way too")
    if filters.ratio > 0:
        words.append(f"at least {filters.ratio:g} tokens a parameter")
    if filters.highest:
        words.append(f"without the {filters.highest} highest losses")
    return f"filters: {', '.join(words) or 'none apply'}"


def _told(choice: Choice) -> str:
    return f"{choice.target:<14} {choice.source}: {choice.why}"


def chosen(key: str, runs: pd.DataFrame, shared: bool) -> Law:
    """The law of a key, for every method together where that is asked.

    Raises:
        ValueError: no such law, or no column of methods to share among.
    """
    law: Law = law_named(key)() if key != Across.key else Across(_methods(runs))
    return Across(_methods(runs), law=law) if shared and key != Across.key else law


def write(found: Fit, out: Path, about: Mapping[str, Any] | None = None) -> None:
    """The record with what it is about, and its tables as CSV."""
    out.mkdir(parents=True, exist_ok=True)
    found.save(out / "fit.json", about)
    found.residuals.to_csv(out / "residuals.csv")
    table = budgets(found)
    if table is not None:
        table.to_csv(out / "allocation.csv", index=False)


def budgets(found: Fit) -> pd.DataFrame | None:
    """Allocations from the smallest run's compute to two decades above the largest's, by 6 N D.

    None where the law does not divide compute.
    """
    import numpy as np

    if not {"n_params", "n_tokens"} <= set(found.runs.columns):
        return None
    compute = FLOPS * found.runs["n_params"].astype(float) * found.runs["n_tokens"].astype(float)
    try:
        return found.allocation(np.geomspace(compute.min(), 100 * compute.max(), BUDGETS))
    except TypeError:
        return None


def _about(file: Path, runs: pd.DataFrame, found: Fit, gone: list[str]) -> dict[str, Any]:
    """What the record says of its rows: compute is the table's where the law reads it, else 6 N D.

    Args:
        runs: that were to be fitted.
        gone: rows left out before, in words.
    """
    body = BODY in runs.columns and bool((runs["n_params"] == runs[BODY]).all())
    flops = "counted as 6 N D" + (" without embedding and head" if body else "")
    if "flops" in found.law.columns:
        flops = "counted as given in the table"
    sizes = "parameters without embedding" if body else "parameters"
    return about(str(file), methods_of(runs), [*gone, *found.dropped], flops, sizes)


def _methods(runs: pd.DataFrame) -> tuple[str, ...]:
    if "method" not in runs.columns:
        raise ValueError("no column says which method a run is of; it may be named 'method'")
    return tuple(sorted(str(name) for name in runs["method"].unique()))
