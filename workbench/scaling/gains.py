"""Compute-equivalent gain of methods, in closed form and for every resample at once.

Along the best division Chinchilla's law is L*(C) = E + K C^-c with c = alpha beta / (alpha + beta),
so that the compute for a loss is ((L - E) / K)^(-1 / c).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS

if TYPE_CHECKING:
    from workbench.scaling.laws.across import Across
    from workbench.scaling.result import Fit

Values = Mapping[str, Any]


def best_curve(values: Values) -> tuple[Any, Any, Any]:
    """`(E, ln K, c)` of the least loss against compute.

    At the optimum alpha A N^-alpha = beta B D^-beta, so that L* - E = A N^-alpha (1 + alpha/beta).

    Args:
        values: E, A, alpha, B, beta; numbers or an array of resamples each.
    """
    alpha, beta = np.asarray(values["alpha"], float), np.asarray(values["beta"], float)
    log_a, log_b = (np.log(np.asarray(values[name], float)) for name in ("A", "B"))
    both = alpha + beta
    log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / both
    power = alpha * beta / both
    log_k = log_a - alpha * log_g + np.log1p(alpha / beta) + power * np.log(FLOPS)
    return np.asarray(values["E"], float), log_k, power


def least_loss(values: Values, compute: Any) -> Any:
    """L*(C)."""
    floor, log_k, power = best_curve(values)
    return floor + np.exp(log_k - power * np.log(compute))


def gain(values: Values, against: Values, compute: Any) -> Any:
    """C over the compute at which `values` does as well as `against` at C; 0 where it never does.

    Args:
        values, against: parameters of two methods; numbers, or arrays that broadcast with C.
        compute: FLOPs.
    """
    floor, log_k, power = best_curve(values)
    above = least_loss(against, compute) - floor
    with np.errstate(divide="ignore", invalid="ignore"):
        log_need = (log_k - np.log(above)) / power
    return np.where(above > 0, np.exp(np.log(compute) - log_need), 0.0)


def of_method(law: Across, method: str, values: Values) -> dict[str, Any]:
    """A method's E, A, alpha, B, beta, beta also where it is alpha."""
    own = law.of(method, values)
    return {**own, **law.law.derived(own)}


def gains(
    fit: Fit, method: str, baseline: str, compute: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """`value`, and with resamples `low` and `high` of the 95 % interval, at each budget.

    Args:
        fit: of an `Across` law of Chinchilla's.
        method, baseline: names among its methods.
        compute: FLOPs.
    """
    law: Any = fit.law
    pair = [of_method(law, name, fit.fitted) for name in (method, baseline)]
    found = {"value": np.asarray(gain(pair[0], pair[1], compute))}
    if fit.draws is not None:
        columns = {name: fit.draws[:, k, None] for k, name in enumerate(law.names)}
        drawn = [of_method(law, name, columns) for name in (method, baseline)]
        many = gain(drawn[0], drawn[1], compute[None])
        found["low"], found["high"] = np.percentile(many, [2.5, 97.5], axis=0)
    return found


def losses(fit: Fit, method: str, compute: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """L* of a method at each budget, with its interval where there are resamples."""
    law: Any = fit.law
    found = {"value": np.asarray(least_loss(of_method(law, method, fit.fitted), compute))}
    if fit.draws is not None:
        columns = {name: fit.draws[:, k, None] for k, name in enumerate(law.names)}
        many = least_loss(of_method(law, method, columns), compute[None])
        found["low"], found["high"] = np.percentile(many, [2.5, 97.5], axis=0)
    return found
