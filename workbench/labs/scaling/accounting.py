"""FLOPs of the runs in one convention, and the budget's division in that convention.

A law divides N D, and a convention says what N D costs: six each where it counts 6 N D, more for
small models where it counts attention or the embedding. What it costs at a size is interpolated
between the runs, in logarithms; that is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.scaling.flops import FLOPS, ROUNDS
from workbench.scaling.selecting import as_numbers

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.result import Fit

CONVENTIONS = ("kaplan", "standard", "attention", "total", "detailed")
PLAIN, GIVEN = "plain", "given"

SHORT: Mapping[str, str] = {
    PLAIN: "6 N D", "kaplan": "Kaplan", "standard": "Standard", "attention": "Attention",
    "total": "Total", "detailed": "Detailed", GIVEN: "As given",
}  # fmt: skip
"""Names of the conventions in a form."""

TITLES: Mapping[str, str] = {
    PLAIN: "6 N D",
    "kaplan": "6 N D without embedding and head",
    "standard": "6 N D with the head",
    "attention": "6 N D with the head, and causal attention",
    "total": "6 N D with everything",
    "detailed": "all its products",
    GIVEN: "given in the table",
}


@dataclass(frozen=True, eq=False)
class Accounting:
    """What one parameter and one token cost in training, by the size of the model.

    Attributes:
        key: the convention.
        sizes, costs: of the runs, in the order of sizes; FLOPs of a parameter and a token.
    """

    key: str
    sizes: NDArray[np.float64]
    costs: NDArray[np.float64]

    @property
    def title(self) -> str:
        """For the screen: "FLOP, counted as 6 N D"."""
        return f"counted as {TITLES[self.key]}"

    def cost(self, size: ArrayLike) -> NDArray[np.float64]:
        """FLOPs of a parameter and a token of models of these sizes."""
        if not len(self.sizes):
            return np.full(np.shape(size), FLOPS)
        at = np.interp(np.log(np.asarray(size, float)), np.log(self.sizes), np.log(self.costs))
        return np.exp(at)

    def a_token(self, size: float) -> float:
        """FLOPs of training a model of this size on one token."""
        return float(self.cost(size) * size)

    def compute(self, size: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """FLOPs of runs."""
        return self.cost(size) * np.asarray(size, float) * np.asarray(tokens, float)

    def allocation(self, fit: Fit, compute: ArrayLike) -> pd.DataFrame:
        """`Fit.allocation` in this convention.

        Raises:
            TypeError: a law that divides nothing.
        """
        budgets = np.atleast_1d(np.asarray(compute, float))
        from workbench.scaling.solver import in_float64

        product = budgets / FLOPS
        for _ in range(ROUNDS if len(self.sizes) else 0):
            best = in_float64(fit.law.optimum)({**fit.fitted, **fit.given}, product)[0]
            product = budgets / self.cost(np.asarray(best))
        return fit.allocation(FLOPS * product).assign(compute=budgets)


def accounting(runs: pd.DataFrame, key: str = PLAIN, *, body: bool = False) -> Accounting:
    """Of a table in a convention.

    Args:
        runs: with `n_params`, `n_tokens`, and `flops_<key>` where the key is no `plain`; `flops`
            where it is `given`.
        key: of `TITLES`.
        body: whether `n_params` leaves the embedding out, so that 6 N D is Kaplan's count.

    Raises:
        ValueError: a convention that the table has no column for, or one without numbers.
    """
    if key == PLAIN:
        return Accounting("kaplan" if body else key, np.empty(0), np.empty(0))
    column = _column(key)
    if column not in runs.columns:
        there = ", ".join(known(runs)) or "none"
        raise ValueError(f"FLOP count {key!r} needs column {column}; the table has {there}")
    whole, size, tokens = (as_numbers(runs[name]) for name in (column, "n_params", "n_tokens"))
    means = (whole / (size * tokens)).groupby(size).median().dropna()
    means = means[(means > 0) & np.isfinite(means)]
    if means.empty and len(runs):
        raise ValueError(f"FLOP count {key!r}: column {column} holds no number above 0")
    return Accounting(key, means.index.to_numpy(float), means.to_numpy(float))


def known(runs: pd.DataFrame) -> list[str]:
    """Conventions that a table has columns for."""
    return [name for name in (*CONVENTIONS, GIVEN) if _column(name) in runs.columns]


def _column(key: str) -> str:
    return "flops" if key == GIVEN else f"flops_{key}"
