"""`fit`: a law on a table of runs, from many starts, with intervals from resampling."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from workbench.progress import Report, silent
from workbench.scaling.laws.law import Law
from workbench.scaling.problem import Problem
from workbench.scaling.result import Fit
from workbench.scaling.runs_table import LEAST_LOSS, checked
from workbench.scaling.settings import Objective, Resampling, Settings


def fit(
    law: Law,
    runs: pd.DataFrame,
    *,
    objective: Objective = "huber",
    delta: float = 1e-3,
    starts: int = 64,
    bootstrap: int = 0,
    resampling: Resampling = "case",
    seed: int = 0,
    drop: bool = False,
    least_loss: float = LEAST_LOSS,
    near: Mapping[str, float] | None = None,
    report: Report = silent,
) -> Fit:
    """Fits a law: the least objective found from many starts, polished.

    The objective is the sum over runs, never the mean, of the residuals' Huber function, half their
    square, or their absolute value; residuals are those of the law, for a loss its logarithm's.

    Args:
        law: which.
        runs: a row a run: the law's columns, its target, and if wished `weight` (0 leaves a run
            out), `seed`, `method`, `cluster`.
        objective: `huber`, `squared` or `absolute`.
        delta: where Huber's function turns from the square to the absolute value.
        starts: how many, spread over the law's box.
        bootstrap: resamples; 0 for no intervals.
        resampling: what is drawn again: `case` a row, `size` all rows of one size, `cluster` all of
            one `cluster` (of one size where there is no such column), `parametric` the residuals.
        seed: of starts and resamples.
        drop: leave faulty rows out and say so in `Fit.dropped`, rather than raise.
        least_loss: a smaller loss is taken for another unit.
        near: parameters to start from too, such as those of the fit before a filter changed.
        report: progress and cancel.

    Returns:
        The fit.

    Raises:
        RunsError: what is wrong with the table, with the rows.
        ValueError: a setting that names nothing.
    """
    settings = Settings(objective, delta, starts, bootstrap, resampling, seed)
    used, dropped = checked(law, runs, drop=drop, least_loss=least_loss)
    problem = Problem(law, used, settings)
    best, reached = problem.solved(near)
    report(0, max(1, bootstrap), "resampling" if bootstrap else "fitted")
    draws = problem.resampled(best, report) if bootstrap else None
    words = tuple(str(one) for one in dropped)
    return Fit(law, settings, best, reached, used, dropped=words, draws=draws)
