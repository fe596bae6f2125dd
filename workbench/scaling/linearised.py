"""A fit near its end: Jacobian, weights and information, for everything that asks "what if"."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.flops import FLOPS
from workbench.scaling.laws.law import Columns, Law, Values
from workbench.scaling.problem import law_columns
from workbench.scaling.result import Fit
from workbench.scaling.solver import in_float64


@dataclass(frozen=True)
class Linearised:
    """A fit, to first order around its end, in the coordinates that are fitted.

    Attributes:
        jacobian: `[R, P]` of the residuals.
        residual: `[R]`.
        weights: `[R]` of the rows times Huber's.
        noise: standard deviation of a residual, from their median size (1.4826 times it).
    """

    jacobian: NDArray[np.float64]
    residual: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: float

    @property
    def normal(self) -> NDArray[np.float64]:
        """J^T W J."""
        return (self.jacobian * self.weights[:, None]).T @ self.jacobian

    @property
    def inverse(self) -> NDArray[np.float64]:
        """Of `normal`; the pseudo-inverse where the table does not determine a parameter."""
        return np.asarray(np.linalg.pinv(self.normal, rcond=1e-13, hermitian=True), np.float64)

    @property
    def information(self) -> NDArray[np.float64]:
        """J^T J over the noise's variance, each run counting once."""
        counted = np.sign(self.weights)
        return (self.jacobian * counted[:, None]).T @ self.jacobian / self.noise**2


@in_float64
def linearised(fit: Fit) -> Linearised:
    """Of a fit, at its parameters.

    Raises:
        ValueError: a fit by `project`, whose objective is not of these residuals.
    """
    fit.need_residuals()
    law, columns = fit.law, law_columns(fit.law, fit.runs)
    found = _residuals(law, law.coordinates(fit.fitted), columns)
    residual, jacobian = (np.asarray(one) for one in found)
    given = fit.runs["weight"].to_numpy(float) if "weight" in fit.runs.columns else 1.0
    robust = np.minimum(1.0, fit.settings.threshold / np.maximum(np.abs(residual), 1e-300))
    weights = np.broadcast_to(given, residual.shape) * robust
    size = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    return Linearised(jacobian, residual, weights, max(size, 1e-12))


@in_float64
def decision_gradient(fit: Fit, compute: float, flops: float = FLOPS) -> NDArray[np.float64]:
    """`[P]` gradient of ln D* at a budget, in the coordinates that are fitted.

    Args:
        fit: of a law that divides compute.
        compute: FLOPs.
        flops: of one parameter and one token.
    """
    law = fit.law
    given = {name: jnp.asarray(float(value)) for name, value in fit.given.items()}
    point = law.coordinates(fit.fitted)
    return np.asarray(_token_gradient(law, point, compute / flops, given))


@in_float64
def row_jacobian(fit: Fit, table: pd.DataFrame) -> NDArray[np.float64]:
    """`[R, P]` Jacobian of the residuals that rows would have, were they run.

    Args:
        fit: whose law.
        table: the law's columns.
    """
    law = fit.law
    runs = dict(law_columns(law, table))
    told = replace(fit, draws=None).predict(table)["value"]
    runs[law.target] = jnp.asarray(told.to_numpy())
    return np.asarray(_residuals(law, law.coordinates(fit.fitted), runs)[1])


@functools.partial(jax.jit, static_argnames=("law",))
def _residuals(law: Law, point: Any, columns: Columns) -> tuple[Any, Any]:
    """Residuals at a point, and their Jacobian."""

    def at(coordinates: Any) -> Any:
        return law.residuals(law.values(coordinates), columns)

    return at(point), jax.jacfwd(at)(point)


@functools.partial(jax.jit, static_argnames=("law",))
def _token_gradient(law: Law, point: Any, product: Any, given: Values) -> Any:
    def log_tokens(at: Any) -> Any:
        return jnp.log(law.optimum({**law.values(at), **given}, product)[1])

    return jax.grad(log_tokens)(point)
