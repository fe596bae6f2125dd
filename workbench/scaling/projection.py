"""Variable projection: for given exponents E, A and B are a linear problem."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize, nnls

from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.result import Fit
from workbench.scaling.runs_table import LEAST_LOSS, checked
from workbench.scaling.settings import Objective, Settings

GRID = 32
LOW, HIGH = 0.05, 0.95
"""Exponents that are searched."""

REWEIGHTED = 30
"""Rounds of weighing anew, for Huber's objective."""


def project(
    runs: pd.DataFrame, *, delta: float | None = None, drop: bool = False
) -> tuple[Fit, float]:
    """Fits Chinchilla's surface to the losses themselves, by non-negative least squares inside.

    The outer search is over (alpha, beta) alone, whose problem is far better conditioned than that
    of all five (Open Athena's scaling-law analysis reports 11 against 3.5e11). Note the residual:
    L less the law's, not its logarithm.

    Args:
        runs: `n_params`, `n_tokens`, `loss`, and `weight` if wished.
        delta: of Huber's function of the loss; None for squares.
        drop: leave faulty rows out, rather than raise.

    Returns:
        The fit, whose objective is half the sum of squares (or Huber's), and the condition number
        of the inner problem at its end.

    Raises:
        RunsError: what is wrong with the table.
    """
    law = Chinchilla()
    used, dropped = checked(law, runs, drop=drop, least_loss=LEAST_LOSS)
    inner = _Inner(used, delta)
    exponents = np.linspace(LOW, HIGH, GRID)
    pairs = [(alpha, beta) for alpha in exponents for beta in exponents]
    start = min(pairs, key=lambda pair: inner.solved(np.asarray(pair))[1])
    options = {"xatol": 1e-12, "fatol": 1e-18, "maxiter": 4000}
    found = minimize(
        lambda pair: inner.solved(pair)[1], start, method="Nelder-Mead", options=options
    )
    fitted, objective, condition = inner.named(found.x)
    objective_of: Objective = "squared" if delta is None else "huber"
    settings = Settings(objective_of, delta or 1e-3, GRID**2)
    words = tuple(str(one) for one in dropped)
    found = Fit(law, settings, fitted, objective, used, dropped=words, estimator="projection")
    return found, condition


class _Inner:
    """E, A and B for given exponents."""

    def __init__(self, runs: pd.DataFrame, delta: float | None) -> None:
        size, data = (np.log(runs[name].to_numpy(float)) for name in ("n_params", "n_tokens"))
        self.size, self.data = size - size.mean(), data - data.mean()
        self.centre = (size.mean(), data.mean())
        self.loss, self.delta = runs["loss"].to_numpy(float), delta
        given = runs["weight"] if "weight" in runs.columns else np.ones(len(runs))
        self.weights = np.asarray(given, float)

    def matrix(self, pair: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns 1, N^-alpha and D^-beta, of centred logarithms."""
        powers = (np.exp(-pair[0] * self.size), np.exp(-pair[1] * self.data))
        return np.stack([np.ones_like(self.loss), *powers], axis=1)

    def solved(self, pair: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Coefficients and the objective; infinite beyond sensible exponents."""
        if not ((pair > 0) & (pair < 3)).all():
            return np.full(3, np.nan), np.inf
        matrix, weights = self.matrix(pair), self.weights
        for _ in range(1 if self.delta is None else REWEIGHTED):
            root = np.sqrt(weights)
            found, _ = nnls(matrix * root[:, None], self.loss * root)
            residual = np.abs(self.loss - matrix @ found)
            if self.delta is not None:
                weights = self.weights * np.minimum(1, self.delta / np.maximum(residual, 1e-300))
        return found, self._objective(residual)

    def named(self, pair: NDArray[np.float64]) -> tuple[Mapping[str, float], float, float]:
        """Parameters under the law's names, the objective, and the condition number."""
        found, objective = self.solved(pair)
        size, data = self.centre
        values = {
            "E": found[0],
            "A": found[1] * np.exp(pair[0] * size),
            "alpha": pair[0],
            "B": found[2] * np.exp(pair[1] * data),
            "beta": pair[1],
        }
        condition = float(np.linalg.cond(self.matrix(pair)))
        return {name: float(value) for name, value in values.items()}, objective, condition

    def _objective(self, residual: NDArray[np.float64]) -> float:
        if self.delta is None:
            return float(np.sum(self.weights * residual**2) / 2)
        beyond = self.delta * (residual - self.delta / 2)
        each = np.where(residual <= self.delta, residual**2 / 2, beyond)
        return float(np.sum(self.weights * each))
