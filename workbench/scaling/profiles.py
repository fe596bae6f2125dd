"""Profiles: the least objective with one parameter held, and the interval that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from workbench.measure.intervals import Interval
from workbench.progress import Report, silent
from workbench.scaling.laws.held import COLUMN, Held
from workbench.scaling.laws.law import Parameter
from workbench.scaling.linearised import linearised
from workbench.scaling.problem import Problem
from workbench.scaling.result import Fit
from workbench.scaling.solver import in_float64

PROFILED = 32
"""Starts of each point of a profile."""

LEVEL = 0.95

TRIES = 40
"""Doublings of the first step in search of an end."""

CLOSE = 1e-3
"""An end is found to this share of the first step."""


def profile(
    fit: Fit, name: str, values: Sequence[float], *, report: Report = silent
) -> pd.DataFrame:
    """The least objective with one parameter held, at each of some values.

    Flat where the table does not determine it; several minima show as such.

    Args:
        fit: of which.
        name: a fitted parameter.
        values: where it is held.
        report: progress and cancel.

    Returns:
        `value`, `objective`, and `over`, the objective above the fit's as a share of it.

    Raises:
        ValueError: a name that is not fitted, or a fit by `project`.
    """
    _parameter(fit, name)
    rows = []
    for count, value in enumerate(values):
        report(count, len(values), f"{name} held at {value:.4g}")
        rows.append((float(value), _held(fit, name, float(value))))
    table = pd.DataFrame(rows, columns=["value", "objective"])
    table["over"] = table["objective"] / fit.objective - 1
    return table


def profile_interval(fit: Fit, name: str, *, report: Report = silent) -> Interval:
    """The 95 % likelihood-ratio interval of a parameter: where its profile stays below a cut.

    All values whose least objective S is at most S_fit + k q / 2, with q the 95 % quantile of chi
    squared with one degree of freedom and k the noise: E psi(r)^2 / E psi'(r) of the residuals r,
    psi being the objective's derivative (Schrader and Hettmansperger 1980; under squares it is the
    residual variance). It needs no resamples, and shows where a table leaves an end open: there
    stands the end of the parameter's range.

    Args:
        fit: of which.
        name: a fitted parameter.
        report: progress and cancel.

    Returns:
        The fitted value, the two ends, and the number of runs.

    Raises:
        ValueError: a name that is not fitted, no more runs than parameters, or a fit by `project`.
    """
    parameter = _parameter(fit, name)
    cut = float(chi2.ppf(LEVEL, 1)) / 2 * noise(fit)
    centre = _inward(parameter, fit.fitted[name])
    seen = {centre: -cut}

    def over(coordinate: float) -> float:
        report(len(seen), len(seen) + 1, f"the interval of {name}")
        if coordinate not in seen:
            least = _held(fit, name, _outward(parameter, coordinate))
            seen[coordinate] = (least - fit.objective) * fit.settings.unit - cut
        return seen[coordinate]

    step = _first_step(fit, name, cut)
    low, high = parameter.range
    ends = (_end(over, centre, -step, low), _end(over, centre, step, high))
    low, high = (_outward(parameter, end) for end in ends)
    return Interval(float(fit.fitted[name]), low, high, len(fit.runs))


def noise(fit: Fit) -> float:
    """k of `profile_interval`, in the units of the solver's objective, with R - P runs for R.

    The share E psi' of runs in the quadratic zone is that of a kernel estimate of the residuals'
    density (Gaussian, Silverman 1986, eq. 3.31): of few runs hardly one lies within a small delta.

    Raises:
        ValueError: no more runs than parameters.
    """
    residual = fit.residuals.to_numpy(float)
    given = fit.runs["weight"].to_numpy(float) if "weight" in fit.runs.columns else 1.0
    weights = np.broadcast_to(given, residual.shape)
    used = int((weights > 0).sum())
    if used <= len(fit.law.names):
        raise ValueError(f"{used} runs and {len(fit.law.names)} parameters leave no noise to see")
    delta = fit.settings.threshold
    slope = np.minimum(np.abs(residual), delta)
    squares = float(np.sum(weights * slope**2)) / (used - len(fit.law.names))
    if not math.isfinite(delta):
        return squares
    spread = np.subtract(*np.percentile(residual[weights > 0], [75, 25])) / 1.34
    width = 0.9 * min(spread, float(np.std(residual[weights > 0]))) * used**-0.2
    width = max(float(width), 1e-300)
    within = norm.cdf((delta - residual) / width) - norm.cdf((-delta - residual) / width)
    return squares / float(np.average(within, weights=weights))


def _end(over: Callable[[float], float], centre: float, step: float, bound: float) -> float:
    """Where the profile passes the cut on one side; the bound where it does not before."""
    near = centre
    for _ in range(TRIES):
        far = centre + step
        if (far - bound) * step >= 0:
            far = bound
        if far == near or over(far) > 0:
            break
        if far == bound:
            return bound
        near, step = far, 2 * step
    if far == near:
        return bound
    return float(brentq(over, near, far, xtol=CLOSE * abs(step)))


def _first_step(fit: Fit, name: str, cut: float) -> float:
    """To the end of the interval, if the objective were the parabola it is near the fit."""
    near = linearised(fit)
    place = fit.law.names.index(name)
    return float(np.sqrt(max(2 * cut * near.inverse[place, place], 1e-24)))


def _parameter(fit: Fit, name: str) -> Parameter:
    if name not in fit.law.names:
        raise ValueError(f"{name!r} is not a parameter of {fit.law.title}: {fit.law.names}")
    return fit.law.parameters[fit.law.names.index(name)]


@in_float64
def _inward(parameter: Parameter, value: float) -> float:
    return float(parameter.inward(value))


@in_float64
def _outward(parameter: Parameter, coordinate: float) -> float:
    return float(parameter.outward(coordinate))


def _held(fit: Fit, name: str, value: float) -> float:
    """The least objective with a parameter held: from the fit's others, and from new starts."""
    fit.need_residuals()
    settings = replace(fit.settings, starts=PROFILED, bootstrap=0)
    problem = Problem(Held(fit.law, name), fit.runs.assign(**{COLUMN: value}), settings)
    return problem.solved(near=fit.fitted)[1]
