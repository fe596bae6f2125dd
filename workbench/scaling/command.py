"""`python -m workbench fit`: a law on a table, without a screen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.home import keep_compiled
from workbench.progress import Bar, Throttled
from workbench.scaling.fitting import fit
from workbench.scaling.flops import FLOPS
from workbench.scaling.importing import bring
from workbench.scaling.laws import Across, law_named
from workbench.scaling.laws.law import Law
from workbench.scaling.result import Fit
from workbench.scaling.runs_table import RunsError

BUDGETS = 61


def run(
    file: Path,
    law: str,
    out: Path,
    *,
    shared: bool = False,
    drop: bool = False,
    **settings: Any,
) -> int:
    """Fits and writes `fit.json`, `allocation.csv`, `residuals.csv`; 0, or 1 with what is wrong.

    Args:
        file: a table or a log.
        law: its key.
        out: folder, made where missing.
        shared: one set of exponents for all of the column `method`.
        drop: leave faulty rows out, and say so.
        **settings: of `fit`.
    """
    keep_compiled()
    bar = Bar("resampling")
    try:
        runs, choices = bring(file)
        for choice in choices:
            print(f"{choice.target:<14} {choice.column}: {choice.why}", file=sys.stderr)
        found = fit(
            chosen(law, runs, shared), runs, drop=drop, report=Throttled(bar, 0.5), **settings
        )
    except (RunsError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 1
    finally:
        bar.close()
    write(found, out)
    print(found.summary())
    return 0


def chosen(key: str, runs: pd.DataFrame, shared: bool) -> Law:
    """The law of a key, for every method together where that is asked.

    Raises:
        ValueError: no such law, or no column of methods to share among.
    """
    law: Law = law_named(key)() if key != Across.key else Across(_methods(runs))
    return Across(_methods(runs), law=law) if shared and key != Across.key else law


def write(found: Fit, out: Path) -> None:
    """The record, and its tables as CSV."""
    out.mkdir(parents=True, exist_ok=True)
    found.save(out / "fit.json")
    found.residuals.to_csv(out / "residuals.csv")
    table = budgets(found)
    if table is not None:
        table.to_csv(out / "allocation.csv", index=False)


def budgets(found: Fit) -> pd.DataFrame | None:
    """Allocations from the smallest run's compute to two decades above the largest's.

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


def _methods(runs: pd.DataFrame) -> tuple[str, ...]:
    if "method" not in runs.columns:
        raise ValueError("no column says which method a run is of; it may be named 'method'")
    return tuple(sorted(str(name) for name in runs["method"].unique()))
