"""Runs whose law is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

TRUTH = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
SYMMETRIC = {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.31, "beta": 0.31}
ASYMMETRIC = {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.465, "beta": 0.155}
SIZES = np.geomspace(4e7, 1.6e10, 9)
BUDGETS = np.geomspace(1e18, 1e22, 5)


def runs(
    truth: dict[str, float] | None = None, *, noise: float = 0.0, seed: int = 0, rows: int = 45
) -> pd.DataFrame:
    """Sizes at budgets, with their losses; more rows repeat the grid, slightly moved."""
    truth = truth or TRUTH
    draw = np.random.default_rng(seed)
    grid = [(size, budget / (6 * size)) for budget in BUDGETS for size in SIZES]
    table = pd.DataFrame(grid * -(-rows // len(grid)), columns=["n_params", "n_tokens"])[:rows]
    table = table.reset_index(drop=True)
    if rows > len(grid):
        table["n_tokens"] *= np.exp(0.3 * draw.standard_normal(rows))
    table["loss"] = loss(truth, table) * np.exp(noise * draw.standard_normal(rows))
    return table


def loss(truth: dict[str, float], table: pd.DataFrame) -> pd.Series:
    """Chinchilla's."""
    size, data = table["n_params"].astype(float), table["n_tokens"].astype(float)
    return truth["E"] + truth["A"] * size ** -truth["alpha"] + truth["B"] * data ** -truth["beta"]
