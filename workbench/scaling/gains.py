"""Compute-equivalent gain of methods, for every resample at once.

Where N D is divided best, Chinchilla's law is L*(N D) = E + K (N D)^-c with c = alpha beta /
(alpha + beta), and N* = G (N D)^a with a = beta / (alpha + beta). A convention says what a
parameter and a token cost at a size, for each method its own: C = cost(N*) N D. The product for a
loss is ((L - E) / K)^(-1 / c); that of a budget is a fixed point, whose size changes its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS

if TYPE_CHECKING:
    from workbench.scaling.laws.across import Across
    from workbench.scaling.result import Fit

Values = Mapping[str, Any]

SETTLED = 20
"""Rounds of a budget's fixed point: each divides what is left by five or more."""

Cost = Callable[[Any], Any]
"""FLOPs of a parameter and a token in training, by the size of the model; of arrays too."""


def six(size: Any) -> Any:
    """C = 6 N D."""
    return np.full(np.shape(size), FLOPS)


class Best(NamedTuple):
    """The best division of every product N D, as powers of it.

    Attributes:
        floor: E.
        log_k, power: ln K and c of the loss above the floor.
        log_g, share: ln G and a of the size.
    """

    floor: Any
    log_k: Any
    power: Any
    log_g: Any
    share: Any

    def loss(self, log_product: Any) -> Any:
        """L*."""
        return self.floor + np.exp(self.log_k - self.power * log_product)

    def size(self, log_product: Any) -> Any:
        """N*."""
        return np.exp(self.log_g + self.share * log_product)

    def log_product(self, compute: Any, cost: Cost) -> Any:
        """ln N D of a budget."""
        found = np.log(compute) - np.log(FLOPS)
        for _ in range(SETTLED):
            found = np.log(compute) - np.log(cost(self.size(found)))
        return found


def best_divided(values: Values) -> Best:
    """Where alpha A N^-alpha = beta B D^-beta, so that L* - E = A N^-alpha (1 + alpha / beta).

    Args:
        values: E, A, alpha, B, beta; numbers or an array of resamples each.
    """
    alpha, beta = np.asarray(values["alpha"], float), np.asarray(values["beta"], float)
    log_a, log_b = (np.log(np.asarray(values[name], float)) for name in ("A", "B"))
    both = alpha + beta
    log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / both
    log_k = log_a - alpha * log_g + np.log1p(alpha / beta)
    return Best(np.asarray(values["E"], float), log_k, alpha * beta / both, log_g, beta / both)


def least_loss(values: Values, compute: Any, cost: Cost = six) -> Any:
    """L*(C)."""
    best = best_divided(values)
    return best.loss(best.log_product(compute, cost))


def gain(values: Values, against: Values, compute: Any, cost: Cost = six, other: Cost = six) -> Any:
    """C over the compute at which `values` does as well as `against` at C; 0 where it never does.

    Args:
        values, against: parameters of two methods; numbers, or arrays that broadcast with C.
        compute: FLOPs.
        cost, other: how those of each are counted.
    """
    best = best_divided(values)
    above = least_loss(against, compute, other) - best.floor
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_need = (best.log_k - np.log(above)) / best.power
        found = np.exp(np.log(compute) - log_need - np.log(cost(best.size(log_need))))
    return np.where(above > 0, found, 0.0)


def of_method(law: Across, method: str, values: Values) -> dict[str, Any]:
    """A method's E, A, alpha, B, beta, beta also where it is alpha."""
    own = law.of(method, values)
    return {**own, **law.law.derived(own)}


def gains(
    fit: Fit,
    method: str,
    baseline: str,
    compute: NDArray[np.float64],
    costs: Mapping[str, Cost] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """`value`, and with resamples `low` and `high` of the 95 % interval, at each budget.

    Args:
        fit: of an `Across` law of Chinchilla's.
        method, baseline: names among its methods.
        compute: FLOPs.
        costs: how those of each method are counted; as 6 N D where left out.
    """
    cost, other = ((costs or {}).get(name, six) for name in (method, baseline))
    law: Any = fit.law
    pair = [of_method(law, name, fit.fitted) for name in (method, baseline)]
    found = {"value": np.asarray(gain(pair[0], pair[1], compute, cost, other))}
    if fit.draws is not None:
        columns = {name: fit.draws[:, k, None] for k, name in enumerate(law.names)}
        drawn = [of_method(law, name, columns) for name in (method, baseline)]
        many = gain(drawn[0], drawn[1], compute[None], cost, other)
        found["low"], found["high"] = np.percentile(many, [2.5, 97.5], axis=0)
    return found


def losses(
    fit: Fit, method: str, compute: NDArray[np.float64], cost: Cost = six
) -> dict[str, NDArray[np.float64]]:
    """L* of a method at each budget, with its interval where there are resamples."""
    law: Any = fit.law
    found = {"value": np.asarray(least_loss(of_method(law, method, fit.fitted), compute, cost))}
    if fit.draws is not None:
        columns = {name: fit.draws[:, k, None] for k, name in enumerate(law.names)}
        many = least_loss(of_method(law, method, columns), compute[None], cost)
        found["low"], found["high"] = np.percentile(many, [2.5, 97.5], axis=0)
    return found
