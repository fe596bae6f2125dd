"""What to run next: an IsoFLOP plan whose optima are bracketed, and the run that tells most."""

from __future__ import annotations

import math
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
            speed is known, `price` where a device hour has one.
        brackets: for each budget, `n_params` (the expected best) with `low` and `high` where the
            fit has intervals, the `smallest` and `largest` run, and whether they are `bracketed`:
            unknown (`pd.NA`) without a fit.
    """

    runs: pd.DataFrame
    brackets: pd.DataFrame

    @property
    def flops(self) -> float:
        """Of all runs."""
        return float(self.runs["flops"].sum())

    @property
    def hours(self) -> float:
        """Of all runs, one after another; NaN without a speed."""
        return self._total("hours")

    @property
    def price(self) -> float:
        """Of all runs; NaN where a device hour has no price."""
        return self._total("price")

    @property
    def misses(self) -> pd.DataFrame:
        """Budgets whose runs are known to lie on one side of where the optimum may be."""
        return self.brackets[~self.brackets["bracketed"]]

    def _total(self, column: str) -> float:
        return float(self.runs[column].sum()) if column in self.runs.columns else math.nan


def isoflop_plan(
    budgets: Sequence[float],
    sizes: Sequence[float],
    *,
    batch_tokens: int,
    fit: Fit | None = None,
    flops: Flops = FLOPS,
    speed: float | None = None,
    devices: int = 1,
    price: float | None = None,
    fewest_steps: int = 10,
) -> IsoFLOP:
    """Every size at every budget, with tokens rounded to whole batches.

    Args:
        budgets: FLOPs of a run.
        sizes: parameters, those that the family has.
        batch_tokens: of an update.
        fit: of earlier runs, which says where the optimum may be.
        flops: of a parameter and a token; or of a token, as a function of the size.
        speed: FLOP/s of all devices together, for hours.
        devices: that are paid while a run lasts.
        price: of one device for an hour, in any currency.
        fewest_steps: shorter runs are left out.

    Raises:
        ValueError: nothing that can be run, or a machine that cannot be.
    """
    _check_machine(speed, devices, price)
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
    if price is not None:
        runs["price"] = runs["hours"] * devices * price
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
    gradient = decision_gradient(
        fit, product(fit.law, {**fit.fitted, **fit.given}, compute, flops), 1.0
    )
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


def _check_machine(speed: float | None, devices: int, price: float | None) -> None:
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise ValueError(f"speed is {speed!r}, not FLOP/s above 0")
    if devices < 1:
        raise ValueError(f"devices is {devices!r}, not a number from 1")
    if price is None:
        return
    if not (math.isfinite(price) and price >= 0):
        raise ValueError(f"price is {price!r}, not a price of a device hour from 0")
    if speed is None:
        raise ValueError(f"price is {price!r}, and hours need a speed: give FLOP/s")


def _brackets(runs: pd.DataFrame, fit: Fit | None, flops: Flops) -> pd.DataFrame:
    rows = []
    for budget, group in runs.groupby("budget", sort=True):
        smallest, largest = float(group["n_params"].min()), float(group["n_params"].max())
        row = {"budget": budget, "smallest": smallest, "largest": largest}
        if fit is None:
            rows.append(row | {"n_params": np.nan, "bracketed": pd.NA})
            continue
        divided = product(fit.law, {**fit.fitted, **fit.given}, float(budget), flops)
        best = fit.allocation(divided, flops=1.0).iloc[0]
        low = float(best.get("n_params_low", best["n_params"]))
        high = float(best.get("n_params_high", best["n_params"]))
        inside = smallest < low and high < largest
        row |= {"n_params": float(best["n_params"]), "low": low, "high": high}
        rows.append(row | {"bracketed": inside})
    return pd.DataFrame(rows).astype({"bracketed": "boolean"})
