"""Is a fit to be believed: hold-outs, influence, outliers, and whether two differ."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import chi2

from workbench.progress import Report, silent
from workbench.scaling.fitting import fit as fit_law
from workbench.scaling.flops import FLOPS
from workbench.scaling.linearised import decision_gradient, linearised
from workbench.scaling.result import Fit
from workbench.scaling.solver import in_float64

OUTLYING = 4.0
"""Median absolute deviations from the median."""

BACK = 10.0
"""The back-test fits what is below a tenth of the largest compute."""


def leave_one_size_out(fit: Fit, *, report: Report = silent) -> pd.DataFrame:
    """The parameters with each size left out: how much hangs on one.

    Returns:
        A row for each size: `n_params` left out, and every parameter.

    Raises:
        ValueError: a fit by `project`.
    """
    sizes = sorted(fit.runs["n_params"].unique())
    rows = []
    for count, size in enumerate(sizes):
        report(count, len(sizes), f"without {size:.4g} parameters")
        rest = fit.runs[fit.runs["n_params"] != size]
        rows.append({"n_params": size, **_again(fit, rest).params})
    return pd.DataFrame(rows)


def back_test(
    fit: Fit, *, below: float = BACK, flops: float = FLOPS, compute: pd.Series | None = None
) -> pd.DataFrame:
    """Predicts the largest runs from the others: what the fit is for, tried on what is known.

    Args:
        fit: its law and settings.
        below: runs are fitted up to the largest compute over this.
        flops: of one parameter and one token.
        compute: FLOPs of each run instead, where a convention counts them in another way.

    Returns:
        The rows left out, with `value`, `low`, `high` (where the fit has intervals) and `error`,
        the predicted loss over the true one less 1.

    Raises:
        RunsError: too few runs below.
        ValueError: a fit by `project`.
    """
    fit.need_residuals()
    if compute is None:
        compute = flops * fit.runs["n_params"].astype(float) * fit.runs["n_tokens"].astype(float)
    edge = compute.max() / below
    small, large = fit.runs[compute <= edge], fit.runs[compute > edge]
    earlier = fit_law(
        fit.law,
        small,
        objective=fit.settings.objective,
        delta=fit.settings.delta,
        starts=fit.settings.starts,
        bootstrap=fit.settings.bootstrap,
        resampling=fit.settings.resampling,
        seed=fit.settings.seed,
    )
    told = earlier.predict(large)
    found = large.assign(compute=compute[large.index], **{name: told[name] for name in told})
    return found.assign(error=found["value"] / found[fit.law.target] - 1)


def influence(fit: Fit, compute: float, *, flops: float = FLOPS) -> pd.Series:
    """What leaving each run out would do to ln D* at a budget, to first order.

    (A^-1 J_i w_i r_i) c / (1 - h_i) with A = J^T W J and h_i = w_i J_i A^-1 J_i: exact for a linear
    law under squares (Cook 1977).

    Args:
        fit: of a law that divides compute.
        compute: FLOPs.
        flops: of one parameter and one token.
    """
    near, gradient = linearised(fit), decision_gradient(fit, compute, flops)
    inverse = near.inverse
    leverage = near.weights * np.einsum("rp,pq,rq->r", near.jacobian, inverse, near.jacobian)
    moved = near.jacobian @ (inverse @ gradient) * near.weights * near.residual
    return pd.Series(moved / np.maximum(1 - leverage, 1e-6), index=fit.runs.index, name="influence")


def outliers(fit: Fit, beyond: float = OUTLYING) -> pd.Series:
    """Runs whose residual is more than `beyond` median absolute deviations from the median."""
    residual = fit.residuals
    away = (residual - residual.median()).abs()
    spread = away.median()
    return residual[away > beyond * spread] if spread > 0 else residual.iloc[:0]


@dataclass(frozen=True)
class Wald:
    """A test that two sets of parameters are equal.

    Attributes:
        statistic: chi squared.
        degrees: of freedom.
        p: how often so much would come about by chance.
    """

    statistic: float
    degrees: int
    p: float


def wald(fit: Fit, other: Fit | dict[str, float]) -> Wald:
    """d^T S^-1 d for the difference d of parameters and the covariance S of their bootstraps.

    In the coordinates that are fitted, where a resample's spread is nearer to a normal one.

    Args:
        fit: with a bootstrap.
        other: another fit of the same law, whose covariance is added where it has a bootstrap; or
            published parameters.

    Raises:
        ValueError: no bootstrap, or another law.
    """
    if fit.draws is None:
        raise ValueError("the test needs a bootstrap: fit with bootstrap=1000")
    covariance = np.atleast_2d(np.cov(_coordinates(fit).T))
    if isinstance(other, Fit):
        if other.law != fit.law:
            raise ValueError(f"two laws: {fit.law.title} and {other.law.title}")
        if other.draws is not None:
            covariance = covariance + np.atleast_2d(np.cov(_coordinates(other).T))
        there = other.fitted
    else:
        there = other
    apart = _at(fit, fit.fitted) - _at(fit, there)
    statistic = float(apart @ np.linalg.solve(covariance, apart))
    return Wald(statistic, len(apart), float(chi2.sf(statistic, len(apart))))


def _again(fit: Fit, runs: pd.DataFrame) -> Fit:
    fit.need_residuals()
    settings = fit.settings
    return fit_law(
        fit.law,
        runs,
        objective=settings.objective,
        delta=settings.delta,
        starts=settings.starts,
        seed=settings.seed,
        near=fit.fitted,
    )


@in_float64
def _coordinates(fit: Fit) -> np.ndarray:
    assert fit.draws is not None
    named = dict(zip(fit.law.names, jnp.asarray(fit.draws).T, strict=True))
    return np.stack([np.asarray(one.inward(named[one.name])) for one in fit.law.parameters], axis=1)


@in_float64
def _at(fit: Fit, values: dict[str, float]) -> np.ndarray:
    return np.asarray(fit.law.coordinates(values))
