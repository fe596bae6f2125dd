"""Chinchilla approach 1: the lower envelope of training curves."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS
from workbench.scaling.runs_table import Problem, checked_rows

POINTS = 1500
SMOOTHING = 0.9
"""Weight of what came before in the moving average of a curve."""

SHARE = 0.8
"""Of the runs in a resample: as Hoffmann et al. 2022 have it for their 10 % and 90 % points."""


@dataclass(frozen=True)
class PowerOfCompute:
    """N* = exp(intercept) C^exponent, and D* likewise.

    Attributes:
        size: exponent a of N*, and its intercept.
        data: exponent b of D*, and its intercept.
        points: what the lines were drawn through: `compute`, `n_params`, `n_tokens`, `loss`.
        drawn: `a` and `b` of each resample, where there are any.
    """

    size: tuple[float, float]
    data: tuple[float, float]
    points: pd.DataFrame
    drawn: pd.DataFrame | None = None

    def allocation(self, compute: NDArray[np.float64]) -> pd.DataFrame:
        """`n_params` and `n_tokens` for each budget, in FLOPs."""
        logarithm = np.log(np.asarray(compute, float))
        (a, at_n), (b, at_d) = self.size, self.data
        return pd.DataFrame(
            {
                "compute": np.asarray(compute, float),
                "n_params": np.exp(at_n + a * logarithm),
                "n_tokens": np.exp(at_d + b * logarithm),
            }
        )


def envelope(
    curves: pd.DataFrame,
    *,
    points: int = POINTS,
    smoothing: float = SMOOTHING,
    flops: float = FLOPS,
    resamples: int = 0,
    seed: int = 0,
) -> PowerOfCompute:
    """The best run at each compute, and lines through its size and tokens (approach 1).

    Each run's curve is smoothed, and interpolated in the logarithm of compute. Where the best run
    is of the smallest or the largest size, the true one may lie beyond: those points are left out.
    Points read mid-way through a schedule lie above what a finished run would reach.

    Args:
        curves: rows `run`, `n_params`, `n_tokens` (seen so far), `loss`; `compute` where it is not
            `flops` for each parameter and token.
        points: compute values, spread by ratio over what the runs cover.
        smoothing: 0 for none.
        flops: of one parameter and one token.
        resamples: how often four fifths of the runs are drawn; draws without a line are left out.
        seed: of the draws.

    Raises:
        RunsError: missing columns, or rows that cannot be read: see `checked_curves`.
        ValueError: fewer than three sizes or two points left.
    """
    curves, _ = checked_curves(curves)
    runs = [smooth(run, smoothing, flops) for _, run in curves.groupby("run", sort=True)]
    if not runs:
        raise ValueError("the table of curves has no rows")
    low = min(run["compute"].min() for run in runs)
    high = max(run["compute"].max() for run in runs)
    grid = np.geomspace(low, high, points)
    losses = np.stack([_on_grid(run, grid) for run in runs])
    sizes = np.asarray([run["n_params"].iloc[0] for run in runs], float)
    costs = np.asarray([(run["compute"] / run["n_tokens"]).iloc[-1] for run in runs])
    found = _lowest(grid, losses, sizes, costs)
    if not resamples:
        return found
    draw = np.random.default_rng(seed)
    kept = max(1, round(SHARE * len(runs)))
    exponents = []
    for _ in range(resamples):
        rows = draw.choice(len(runs), kept, replace=False)
        with contextlib.suppress(ValueError):  # too few sizes, or none of them inside
            one = _lowest(grid, losses[rows], sizes[rows], costs[rows])
            exponents.append({"a": one.size[0], "b": one.data[0]})
    return replace(found, drawn=pd.DataFrame(exponents, columns=["a", "b"]))


def checked_curves(
    curves: pd.DataFrame, *, drop: bool = False
) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows of curves that can be read, and what was wrong with the others.

    A run has a row for each of its tokens: only rows equal in all are one given twice.

    Args:
        curves: as of `envelope`.
        drop: leave faulty rows out, rather than raise.

    Raises:
        RunsError: what is wrong, with the rows.
    """
    return checked_rows(
        curves, ("run", "n_params", "n_tokens", "loss"), needed_by="approach 1", texts=("run",),
        optional=("compute",), drop=drop,
    )  # fmt: skip


def smooth(run: pd.DataFrame, smoothing: float = SMOOTHING, flops: float = FLOPS) -> pd.DataFrame:
    """One run's curve, averaged: `compute`, `loss`, `n_params`, `n_tokens`, by tokens.

    Args:
        run: rows as of `envelope`.
        smoothing: weight of what came before.
        flops: of one parameter and one token, where `compute` is not given.
    """
    run = run.sort_values("n_tokens")
    loss = run["loss"].ewm(alpha=1 - smoothing).mean() if smoothing else run["loss"]
    compute = run.get("compute", flops * run["n_params"] * run["n_tokens"])
    return run[["n_params", "n_tokens"]].assign(compute=compute, loss=loss)


def _lowest(
    grid: NDArray[np.float64],
    losses: NDArray[np.float64],
    sizes: NDArray[np.float64],
    costs: NDArray[np.float64],
) -> PowerOfCompute:
    """Lines through the best of the runs; `losses` `[R, C]`, NaN where a run has none."""
    count = len(np.unique(sizes))
    if count < 3:
        raise ValueError(f"{count} sizes; an envelope needs at least three")
    best = np.argmin(np.where(np.isfinite(losses), losses, np.inf), axis=0)
    inside = np.isfinite(losses).any(axis=0)
    inside &= (sizes[best] > sizes.min()) & (sizes[best] < sizes.max())
    if inside.sum() < 2:
        raise ValueError("the best run is of the smallest or the largest size almost everywhere")
    best = best[inside]
    found = pd.DataFrame(
        {
            "compute": grid[inside],
            "n_params": sizes[best],
            "n_tokens": grid[inside] / costs[best],
            "loss": losses[best, np.flatnonzero(inside)],
        }
    )
    return through(found)


def through(points: pd.DataFrame, weights: NDArray[np.float64] | None = None) -> PowerOfCompute:
    """Straight lines of ln N* and ln D* against ln C.

    Args:
        points: `compute`, `n_params`, `n_tokens`.
        weights: of the points; equal where left out.
    """
    logarithm = np.log(points["compute"].to_numpy(float))
    root = None if weights is None else np.sqrt(weights)

    def line(name: str) -> tuple[float, float]:
        slope, at = np.polyfit(logarithm, np.log(points[name].to_numpy(float)), 1, w=root)
        return float(slope), float(at)

    return PowerOfCompute(line("n_params"), line("n_tokens"), points)


def _on_grid(run: pd.DataFrame, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.log(run["compute"].to_numpy(float))
    return np.interp(np.log(grid), at, run["loss"].to_numpy(float), left=np.nan, right=np.nan)
