"""Ways to spend a budget by a law: the best loss, more tokens on a smaller model, or the cheapest
to serve.

Everything is read off grids of the law, vectorised. Serving costs 2 FLOPs a parameter and token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.labs.scaling.accounting import Accounting
from workbench.scaling.decisions import SERVED
from workbench.scaling.flops import ROUNDS

if TYPE_CHECKING:
    from workbench.scaling.result import Fit

Grid = NDArray[np.float64]

FINE = 240
"""Points of a grid."""


@dataclass(frozen=True)
class Way:
    """A size and data, and what they cost.

    Attributes:
        name: in words.
        size, tokens: N and D.
        loss: that the law gives them.
        training, serving: FLOPs.
    """

    name: str
    size: float
    tokens: float
    loss: float
    training: float
    serving: float

    @property
    def total(self) -> float:
        """FLOPs of both."""
        return self.training + self.serving


def plain(fit: Fit) -> Fit:
    """Without resamples, which grids do not need."""
    return replace(fit, draws=None)


def losses(fit: Fit, sizes: Grid, tokens: Grid) -> Grid:
    """The law's loss of each pair."""
    import pandas as pd

    table = pd.DataFrame({"n_params": np.ravel(sizes), "n_tokens": np.ravel(tokens)})
    found = plain(fit).predict(fit.whole(table))["value"].to_numpy()
    return np.asarray(found).reshape(np.shape(sizes))


def best(fit: Fit, counted: Accounting, compute: float, served: float) -> Way:
    """The least loss of a budget."""
    row = counted.allocation(plain(fit), compute).iloc[0]
    return Way("Least loss", row["n_params"], row["n_tokens"], row["loss"], compute,
               SERVED * row["n_params"] * served)  # fmt: skip


def shapes(
    fit: Fit, counted: Accounting, compute: Any, factor: Any
) -> tuple[Grid, Grid]:  # fmt: skip
    """N and D of budgets spent with `factor` times the best tokens a parameter.

    N = sqrt(p / (factor D* / N*)) with p = N D = C / cost(N), by a fixed point in p.
    """
    budgets, factors = np.broadcast_arrays(
        np.atleast_1d(np.asarray(compute, float)), np.atleast_1d(np.asarray(factor, float))
    )
    table = counted.allocation(plain(fit), budgets)
    wanted = factors * table["tokens_per_param"].to_numpy(float)
    sizes = table["n_params"].to_numpy(float)
    for _ in range(ROUNDS):
        sizes = np.sqrt(budgets / counted.cost(sizes) / wanted)
    return sizes, budgets / counted.cost(sizes) / sizes


def over_trained(
    fit: Fit, counted: Accounting, compute: float, factor: float, served: float
) -> Way:  # fmt: skip
    """The same budget with `factor` times the best tokens a parameter."""
    sizes, tokens = shapes(fit, counted, compute, factor)
    loss, size = float(losses(fit, sizes, tokens)[0]), float(sizes[0])
    name = f"Over-trained {factor:g} ×"
    return Way(name, size, float(tokens[0]), loss, compute, SERVED * size * served)


def needed(fit: Fit, counted: Accounting, loss: Any) -> Any:
    """The compute at which the best division reaches each loss; infinite where it never does."""
    compute = np.geomspace(1.0, 1e40, 8 * FINE)
    curve = counted.allocation(plain(fit), compute)["loss"].to_numpy(float)
    falls = np.concatenate([[True], np.diff(curve) < 0])
    at = np.interp(-np.asarray(loss, float), -curve[falls], np.log(compute[falls]), right=np.inf)
    return np.exp(at)


def penalties(fit: Fit, counted: Accounting, compute: float, factors: Grid) -> Grid:
    """Compute over what the same loss costs at the best shape, by tokens a parameter over best."""
    sizes, tokens = shapes(fit, counted, compute, factors)
    return np.asarray(compute / needed(fit, counted, losses(fit, sizes, tokens)))


def serving_curve(
    fit: Fit, counted: Accounting, loss: float, served: float
) -> tuple[Grid, Grid, Grid]:
    """`(sizes, tokens, total FLOPs)` of every size that reaches a loss, training and serving.

    Empty where none does.
    """
    start = counted.allocation(plain(fit), float(needed(fit, counted, loss))).iloc[0]
    sizes = np.geomspace(start["n_params"] / 100, start["n_params"] * 10, FINE)
    grid = np.geomspace(start["n_tokens"] / 100, start["n_tokens"] * 1e4, FINE)
    table = losses(fit, np.repeat(sizes[:, None], FINE, 1), np.repeat(grid[None], FINE, 0))
    tokens = np.exp([
        np.interp(-loss, -row, np.log(grid), left=np.nan, right=np.nan) for row in table
    ])  # fmt: skip
    total = counted.compute(sizes, tokens) + SERVED * sizes * served
    known = np.isfinite(total)
    return sizes[known], tokens[known], total[known]


def cheapest(fit: Fit, counted: Accounting, loss: float, served: float) -> Way:
    """The size that costs least over training and serving, for a loss (Sardana et al. 2023)."""
    sizes, tokens, total = serving_curve(fit, counted, loss, served)
    at = int(np.argmin(total))
    training = float(counted.compute(sizes[at], tokens[at]))
    return Way("Cheapest to serve", float(sizes[at]), float(tokens[at]), loss, training,
               float(SERVED * sizes[at] * served))  # fmt: skip
