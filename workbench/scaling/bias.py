"""How wrong parabolas are with no noise at all: approach 2 on a surface that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from workbench.scaling.decisions import divided, losses
from workbench.scaling.flops import FLOPS
from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.parabolas import parabola

BUDGETS = (1e17, 1e18, 1e19, 1e20, 1e21)
POINTS = 15
TARGET = 1e24


def parabola_bias(
    params: Mapping[str, float],
    *,
    width: float,
    centre: float = 1.0,
    drift: float = 1.0,
    noise: float = 0.0,
    budgets: Sequence[float] = BUDGETS,
    points: int = POINTS,
    target: float = TARGET,
    seed: int = 0,
) -> dict[str, float]:
    """Approach 2 run on Chinchilla's surface, and how far its D* at a larger budget is off.

    Each budget has `points` runs with D from centre D* / width to centre D* width, by ratio.

    Args:
        params: E, A, alpha, B, beta of the truth.
        width: k; a curve reaches from D* / k to D* k.
        centre: of the smallest budget's grid, over D*.
        drift: the largest budget's centre over the smallest's, by ratio in between.
        noise: standard deviation of ln L.
        budgets: in FLOPs.
        points: of each.
        target: where D* is extrapolated to.
        seed: of the noise.

    Returns:
        `exponent`, `true_exponent`, `n_tokens` extrapolated, `true_tokens`, `error` as a share.
    """
    draw = np.random.default_rng(seed)
    curves = simulated(params, width, centre, drift, budgets, points)
    curves["loss"] *= np.exp(noise * draw.standard_normal(len(curves)))
    vertices = [
        parabola(np.log(group["n_tokens"].to_numpy()), group["loss"].to_numpy())[0]
        for _, group in curves.groupby("budget", sort=True)
    ]
    exponent, at = np.polyfit(np.log(sorted(budgets)), vertices, 1)
    found, true = float(np.exp(at + exponent * np.log(target))), best_tokens(params, target)
    return {
        "exponent": float(exponent),
        "true_exponent": params["alpha"] / (params["alpha"] + params["beta"]),
        "n_tokens": found,
        "true_tokens": true,
        "error": found / true - 1,
    }


def simulated(
    params: Mapping[str, float],
    width: float,
    centre: float,
    drift: float,
    budgets: Sequence[float] = BUDGETS,
    points: int = POINTS,
) -> pd.DataFrame:
    """The runs: `budget`, `n_params`, `n_tokens`, `loss` without noise; and that they are none.

    A table with a true `simulated` is shown as such wherever it is opened.
    """
    rows = []
    shares = np.linspace(0, 1, len(budgets))
    for budget, share in zip(budgets, shares, strict=True):
        middle = best_tokens(params, budget) * centre * drift**share
        for tokens in np.geomspace(middle / width, middle * width, points):
            rows.append((budget, budget / (FLOPS * tokens), tokens))
    runs = pd.DataFrame(rows, columns=["budget", "n_params", "n_tokens"])
    size, tokens = runs["n_params"].to_numpy(), runs["n_tokens"].to_numpy()
    return runs.assign(loss=losses(Chinchilla(), params, size, tokens), simulated=True)


def best_tokens(params: Mapping[str, float], compute: float) -> float:
    """D* of Chinchilla's surface."""
    return divided(Chinchilla(), params, compute)[1]
