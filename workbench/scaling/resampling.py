"""Resamples of a table for the bootstrap, as weights of its rows or shifts of its losses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.settings import Settings


def resamples(
    runs: pd.DataFrame,
    residual: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: Settings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`[B, rows]` weights, and shifts of the residuals, of each resample.

    Drawing rows with replacement is the same as weighing each by how often it was drawn (Efron
    1979), so that no row is moved. The parametric form keeps the rows and gives each the residual
    of another, with a random sign.

    Args:
        runs: the rows in use.
        residual: of each, at the fit.
        weights: of each row of the padded table.
        settings: how many, which way, and the seed.
    """
    draw = np.random.default_rng(settings.seed)
    count, rows = settings.bootstrap, len(runs)
    many = np.zeros((count, len(weights)))
    shifts = np.zeros((count, len(weights)))
    if settings.resampling == "parametric":
        picked = residual[draw.integers(rows, size=(count, rows))]
        shifts[:, :rows] = picked * draw.choice((-1.0, 1.0), (count, rows)) - residual
        many[:, :rows] = 1.0
    elif settings.resampling in ("cluster", "size"):
        codes, labels = pd.factorize(together(runs, settings.resampling))
        times = draw.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=count)
        many[:, :rows] = times[:, codes]
    else:
        many[:, :rows] = draw.multinomial(rows, np.full(rows, 1 / rows), size=count)
    return many * weights, shifts


def together(runs: pd.DataFrame, way: str) -> pd.Series:
    """What is drawn together: rows of one size, or of one `cluster` where there is such a column.

    Raises:
        ValueError: a table without sizes.
    """
    if way == "cluster" and "cluster" in runs.columns:
        return runs["cluster"]
    if "n_params" not in runs.columns:
        raise ValueError(f"resampling is {way!r}, and the table has no n_params to draw runs by")
    return runs["n_params"]
