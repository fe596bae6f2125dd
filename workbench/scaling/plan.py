"""What to run next: an IsoFLOP plan whose optima are bracketed, and the run that tells most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.scaling.decisions import Flops, product
from workbench.scaling.flops import FLOPS
from workbench.scaling.linearised import decision_gradient, linearised, row_jacobian
from workbench.scaling.result import Fit


@dataclass(frozen=True)
class IsoFLOP:
    """A grid of runs: sizes for each budget.

    Attributes:
        runs: `budget`, `n_params`, `n_tokens`, `steps`, `flops` (after rounding), `hours` where a
            speed is known.
        brackets: for each budget, `n_params` (the expected best) with `low` and `high` where the
            fit has intervals, the `smallest` and `largest` run, and whether they bracket it.
    """

    runs: pd.DataFrame
    brackets: pd.DataFrame

    @property
    def flops(self) -> float:
        """Of all runs."""
        return float(self.runs["flops"].sum())

    @property
    def misses(self) -> pd.DataFrame:
        """Budgets whose runs all lie on one side of where the optimum may be."""
        return self.brackets[~self.brackets["bracketed"]]


def isoflop_plan(
    budgets: Sequence[float],
    sizes: Sequence[float],
    *,
    batch_tokens: int,
    fit: Fit | None = None,
    flops: Flops = FLOPS,
    speed: float | None = None,
    fewest_steps: int = 10,
) -> IsoFLOP:
    """Every size at every budget, with tokens rounded to whole batches.

    Args:
        budgets: FLOPs of a run.
        sizes: parameters, those that the family has.
        batch_tokens: of an update.
        fit: of earlier runs, which says where the optimum may be.
        flops: of a parameter and a token; or of a token, as a function of the size.
        speed: FLOP/s of this machine, for hours.
        fewest_steps: shorter runs are left out.

    Raises:
        ValueError: nothing that can be run.
    """
    rows = []
    for budget in sorted(budgets):
        for size in sorted(sizes):
            a_token = _a_token(flops, size)
            steps = round(budget / a_token / batch_tokens)
            if steps < fewest_steps:
                continue
            tokens = steps * batch_tokens
            rows.append((budget, size, tokens, steps, a_token * tokens))
    if not rows:
        raise ValueError(
            f"no size from {min(sizes):g} to {max(sizes):g} makes {fewest_steps} updates of "
            f"{batch_tokens} tokens with {max(budgets):g} FLOPs"
        )
    runs = pd.DataFrame(rows, columns=["budget", "n_params", "n_tokens", "steps", "flops"])
    if speed is not None:
        runs["hours"] = runs["flops"] / speed / 3600
    return IsoFLOP(runs, _brackets(runs, fit, flops))


def bracketed(table: pd.DataFrame) -> pd.DataFrame:
    """Whether the best of each budget that was run lies inside its sizes.

    Args:
        table: `budget`, `n_params`, `loss`; seeds are averaged.

    Returns:
        `budget`, `n_params` of the best run, `smallest`, `largest`, `bracketed`.
    """
    rows = []
    for budget, group in table.groupby("budget", sort=True):
        means = group.groupby("n_params")["loss"].mean()
        best = float(means.idxmin())
        low, high = float(means.index.min()), float(means.index.max())
        rows.append((budget, best, low, high, low < best < high))
    return pd.DataFrame(rows, columns=["budget", "n_params", "smallest", "largest", "bracketed"])


def next_runs(
    fit: Fit, candidates: pd.DataFrame, compute: float, *, flops: Flops = FLOPS
) -> pd.DataFrame:
    """Candidates by what they take from the variance of ln D* at a budget, for each FLOP.

    (c A^-1 j)^2 / (s^2 + j A^-1 j) for the gradient c of the decision, the information A of the
    runs there are, a candidate's Jacobian j and a run's noise s: the c-optimal design to first
    order (Elfving 1952; the loop is that of kyo-takano's chinchilla, with uncertainty).

    Args:
        fit: of a law that divides compute.
        candidates: the law's columns, a row each.
        compute: of the decision, FLOPs.
        flops: of one parameter and one token; or of a token, as a function of the size.

    Returns:
        The candidates, best first, with `variance_removed`, `flops`, `per_flop`.
    """
    near = linearised(fit)
    gradient = decision_gradient(fit, product(fit.law, fit.fitted, compute, flops), 1.0)
    inverse = np.linalg.pinv(near.information, rcond=1e-13, hermitian=True)
    rows = row_jacobian(fit, candidates)
    toward = rows @ (inverse @ gradient)
    spread = np.einsum("rp,pq,rq->r", rows, inverse, rows)
    removed = toward**2 / (near.noise**2 + spread)
    each = [_a_token(flops, float(size)) for size in candidates["n_params"]]
    cost = np.asarray(each) * candidates["n_tokens"].to_numpy(float)
    found = candidates.assign(variance_removed=removed, flops=cost, per_flop=removed / cost)
    return found.sort_values("per_flop", ascending=False)


def decision_variance(fit: Fit, compute: float, *, flops: float = FLOPS) -> float:
    """Variance of ln D* at a budget, to first order."""
    near, gradient = linearised(fit), decision_gradient(fit, compute, flops)
    inverse = np.linalg.pinv(near.information, rcond=1e-13, hermitian=True)
    return float(gradient @ inverse @ gradient)


def _a_token(flops: Flops, size: float) -> float:
    return flops(size) if callable(flops) else flops * size


def _brackets(runs: pd.DataFrame, fit: Fit | None, flops: Flops) -> pd.DataFrame:
    rows = []
    for budget, group in runs.groupby("budget", sort=True):
        smallest, largest = float(group["n_params"].min()), float(group["n_params"].max())
        row = {"budget": budget, "smallest": smallest, "largest": largest}
        if fit is None:
            rows.append(row | {"n_params": np.nan, "bracketed": len(group) >= 3})
            continue
        divided = product(fit.law, fit.fitted, float(budget), flops)
        best = fit.allocation(divided, flops=1.0).iloc[0]
        low = float(best.get("n_params_low", best["n_params"]))
        high = float(best.get("n_params_high", best["n_params"]))
        inside = smallest < low and high < largest
        row |= {"n_params": float(best["n_params"]), "low": low, "high": high}
        rows.append(row | {"bracketed": inside})
    return pd.DataFrame(rows)
