"""Chinchilla approach 2: a parabola for each compute budget, and lines through their vertices."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.curve_envelope import PowerOfCompute, through
from workbench.scaling.flops import FLOPS
from workbench.scaling.runs_table import Problem, checked_rows

LEAST = 4
"""Runs of a budget below which no parabola is drawn."""

TOGETHER = 0.1
"""Runs whose compute is within a tenth belong to one budget."""

FINER = 25


def isoflop(
    runs: pd.DataFrame,
    *,
    vertex: Literal["parabola", "akima"] = "parabola",
    flops: float = FLOPS,
    noise: float = 0.0,
    resamples: int = 0,
    seed: int = 0,
) -> tuple[PowerOfCompute, pd.DataFrame]:
    """The best size of each budget, and lines through them (approach 2).

    `parabola` fits L = c2 x^2 + c1 x + c0 in x = ln N (for N*) and x = ln D (for D*). `akima`
    interpolates ln L in x and takes the least on a grid 25 times finer, as Porian et al. 2024 do.
    A vertex counts only where the curve opens upwards and it lies inside what was run.

    Parabolas are biased, even with no noise: see `bias.parabola_bias`.

    Args:
        runs: `n_params`, `n_tokens`, `loss`, and `budget` in FLOPs where it was planned; otherwise
            runs within a tenth in compute are one budget.
        vertex: how it is found.
        flops: of one parameter and one token.
        noise: standard deviation of ln L, for `resamples` that weigh each vertex by its spread.
        resamples: 0 for equal weights.
        seed: of the noise.

    Returns:
        The lines, and a row for each budget: `compute`, `n_params`, `n_tokens`, `loss`, `runs`,
        `curvature`, and `why` it was left out, empty where it counts.

    Raises:
        RunsError: missing columns, or rows that are no runs: see `checked_sizes`.
        ValueError: fewer than two budgets with a vertex.
    """
    if vertex not in ("parabola", "akima"):
        raise ValueError(f"vertex is {vertex!r}, not 'parabola' or 'akima'")
    runs, _ = checked_sizes(runs)
    rows, weights = [], []
    draw = np.random.default_rng(seed)
    for compute, group in budgets(runs, flops):
        row = _vertex(compute, group, vertex)
        rows.append(row)
        if row["why"]:
            continue
        weights.append(_certainty(compute, group, vertex, noise, resamples, draw))
    table = pd.DataFrame(rows)
    good = table[table["why"] == ""] if len(table) else table
    if len(good) < 2:
        reasons = "; ".join(sorted({str(row["why"]) for row in rows if row["why"]})) or "no runs"
        raise ValueError(f"{len(good)} budgets have a vertex, and a line needs two: {reasons}")
    return through(good, np.asarray(weights) if resamples else None), table


def checked_sizes(runs: pd.DataFrame, *, drop: bool = False) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows that parabolas can be drawn through, and what was wrong with the others.

    Args:
        runs: as of `isoflop`.
        drop: leave faulty rows out, rather than raise.

    Raises:
        RunsError: what is wrong, with the rows.
    """
    wanted = ("n_params", "n_tokens", "loss")
    return checked_rows(runs, wanted, needed_by="approach 2", optional=("budget",), drop=drop)


def budgets(runs: pd.DataFrame, flops: float = FLOPS) -> list[tuple[float, pd.DataFrame]]:
    """Runs by compute budget, smallest first."""
    if "budget" in runs.columns:
        return [(float(value), group) for value, group in runs.groupby("budget", sort=True)]
    compute = flops * runs["n_params"].astype(float) * runs["n_tokens"].astype(float)
    ordered = compute.sort_values()
    first = np.concatenate([[True], np.diff(np.log(ordered.to_numpy())) > TOGETHER])
    which = pd.Series(np.cumsum(first), index=ordered.index)
    groups = runs.groupby(which.reindex(runs.index), sort=True)
    return [(float(np.exp(np.log(compute[group.index]).mean())), group) for _, group in groups]


def parabola(x: NDArray[np.float64], loss: NDArray[np.float64]) -> tuple[float, float, float]:
    """Vertex, loss there, and curvature, of the least-squares parabola; x is centred for it."""
    middle = x.mean()
    c2, c1, c0 = np.polyfit(x - middle, loss, 2)
    at = -c1 / (2 * c2) if c2 else np.nan
    return float(middle + at), float(c0 + c1 * at + c2 * at**2), float(c2)


def akima(x: NDArray[np.float64], loss: NDArray[np.float64]) -> tuple[float, float, float]:
    """Where the Akima interpolant of ln L is least, the loss there, and the curvature there."""
    from scipy.interpolate import Akima1DInterpolator

    curve = Akima1DInterpolator(x, np.log(loss))
    grid = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    values = curve(grid)
    best = int(np.argmin(values))
    at = np.nan if best in (0, len(grid) - 1) else float(grid[best])
    return at, float(np.exp(values[best])), float(curve(grid[best], nu=2))


def _vertex(compute: float, group: pd.DataFrame, how: str) -> dict[str, object]:
    row: dict[str, object] = {
        "compute": compute,
        "n_params": np.nan,
        "n_tokens": np.nan,
        "loss": np.nan,
        "runs": len(group),
        "curvature": np.nan,
        "why": "",
    }
    sizes = group["n_params"].nunique()
    if sizes < LEAST:
        return row | {"why": f"{sizes} sizes, and a curve needs {LEAST}"}
    for name in ("n_params", "n_tokens"):
        x, loss = _curve(group, name)
        at, least, curvature = parabola(x, loss) if how == "parabola" else akima(x, loss)
        row[name] = np.exp(at)
        if name == "n_params":
            row |= {"loss": least, "curvature": curvature}
        if how == "parabola" and not curvature > 0:
            return row | {"why": "the curve does not open upwards"}
        if not x[0] < at < x[-1]:
            return row | {"why": "the least loss lies at or beyond the ends of what was run"}
    return row


def _curve(group: pd.DataFrame, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln of a column and the mean loss there, in order."""
    means = group.groupby(name)["loss"].mean()
    return np.log(means.index.to_numpy(float)), means.to_numpy(float)


def _certainty(
    compute: float,
    group: pd.DataFrame,
    how: str,
    noise: float,
    resamples: int,
    draw: np.random.Generator,
) -> float:
    """One over the variance of ln N*, when each loss is drawn again with the noise."""
    if not resamples:
        return 1.0
    found = []
    for _ in range(resamples):
        factor = np.exp(noise * draw.standard_normal(len(group)))
        row = _vertex(compute, group.assign(loss=group["loss"] * factor), how)
        if not row["why"]:
            found.append(np.log(float(row["n_params"])))  # type: ignore[arg-type]
    return 1 / max(float(np.var(found)), 1e-12) if len(found) > 2 else 1e-12
