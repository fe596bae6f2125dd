"""Chinchilla approach 1: the lower envelope of training curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS

POINTS = 1500
SMOOTHING = 0.9
"""Weight of what came before in the moving average of a curve."""


@dataclass(frozen=True)
class PowerOfCompute:
    """N* = exp(intercept) C^exponent, and D* likewise.

    Attributes:
        size: exponent a of N*, and its intercept.
        data: exponent b of D*, and its intercept.
        points: what the lines were drawn through: `compute`, `n_params`, `n_tokens`, `loss`.
    """

    size: tuple[float, float]
    data: tuple[float, float]
    points: pd.DataFrame

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
) -> PowerOfCompute:
    """The best run at each compute, and lines through its size and tokens (approach 1).

    Each run's curve is smoothed, and interpolated in the logarithm of compute. Where the best run
    is of the smallest or the largest size, the true one may lie beyond: those points are left out.
    Points read mid-way through a schedule lie above what a finished run would reach.

    Args:
        curves: rows `run`, `n_params`, `n_tokens` (seen so far), `loss`.
        points: compute values, spread by ratio over what the runs cover.
        smoothing: 0 for none.
        flops: of one parameter and one token.

    Raises:
        ValueError: missing columns, or fewer than three sizes or two points left.
    """
    missing = {"run", "n_params", "n_tokens", "loss"} - set(curves.columns)
    if missing:
        raise ValueError(f"columns {', '.join(sorted(missing))} are not in the table of curves")
    sizes = np.sort(curves["n_params"].unique())
    if len(sizes) < 3:
        raise ValueError(f"{len(sizes)} sizes; an envelope needs at least three")
    runs = [_smooth(run, smoothing, flops) for _, run in curves.groupby("run", sort=True)]
    low = min(run["compute"].min() for run in runs)
    high = max(run["compute"].max() for run in runs)
    grid = np.geomspace(low, high, points)
    losses = np.stack([_on_grid(run, grid) for run in runs])
    each = np.asarray([run["n_params"].iloc[0] for run in runs])
    covered = np.isfinite(losses).any(axis=0)
    best = np.argmin(np.where(np.isfinite(losses), losses, np.inf), axis=0)
    size = each[best]
    inside = covered & (size > sizes[0]) & (size < sizes[-1])
    if inside.sum() < 2:
        raise ValueError("the best run is of the smallest or the largest size almost everywhere")
    found = pd.DataFrame(
        {
            "compute": grid[inside],
            "n_params": size[inside],
            "n_tokens": grid[inside] / (flops * size[inside]),
            "loss": losses[best, np.arange(points)][inside],
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


def _smooth(run: pd.DataFrame, smoothing: float, flops: float) -> pd.DataFrame:
    run = run.sort_values("n_tokens")
    loss = run["loss"].ewm(alpha=1 - smoothing).mean() if smoothing else run["loss"]
    compute = flops * run["n_params"] * run["n_tokens"]
    return pd.DataFrame({"compute": compute, "loss": loss, "n_params": run["n_params"]})


def _on_grid(run: pd.DataFrame, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.log(run["compute"].to_numpy(float))
    return np.interp(np.log(grid), at, run["loss"].to_numpy(float), left=np.nan, right=np.nan)
