"""Repeated data: the law of Muennighoff et al. 2023."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.law import Columns, Law, Parameter, Values

UNIQUE = "unique_tokens"

WIDE, COARSE, HALVED = 8.0, 65, 30
"""The search for the best size: half its width in ln N around the base law's, points of its first
grid, and how often the bracket is cut to 0.618 of itself."""

GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class DataConstrained(Law):
    """L = E + A N'^-alpha + B D'^-beta with effective N' and D' (arXiv 2305.16264, eq. 5 and 6).

    D' = U + U R_D* (1 - exp(-R_D / R_D*)) for U unique tokens seen 1 + R_D times, and N' alike from
    U_N, the size that U tokens would suit best, and its excess R_N.

    With the base law held, the objective is almost flat in R_D* and R_N*, and has several minima:
    look at the profile before quoting either.

    Args:
        base: the parameters of a Chinchilla law that are held, as pairs; None to fit them too.
    """

    base: tuple[tuple[str, float], ...] | None = None

    key: ClassVar[str] = "data-constrained"
    title: ClassVar[str] = "Data-constrained"
    source: ClassVar[str] = "Muennighoff et al. 2023, arXiv 2305.16264"
    columns: ClassVar[tuple[str, ...]] = ("n_params", "n_tokens", "unique_tokens")

    @property
    def varied(self) -> tuple[str, ...]:
        """One amount of unique data may be all there is."""
        return ("n_params", "n_tokens")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """R_D* and R_N*, after the base law's where they are free."""
        repeats = (
            Parameter("R_D*", (1.0, 1e3), bounds=(1e-2, 1e6), about="repeats of data worth having"),
            Parameter("R_N*", (1.0, 1e3), bounds=(1e-2, 1e6), about="excess size worth having"),
        )
        return repeats if self.base is not None else (*Chinchilla().parameters, *repeats)

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        params, tokens = self.effective(values, runs)
        base = self._base(values)
        return Chinchilla().predict(base, {"n_params": params, "n_tokens": tokens})

    def effective(self, values: Values, runs: Columns) -> tuple[Any, Any]:
        """`(N', D')` of each run."""
        unique = jnp.minimum(runs["unique_tokens"], runs["n_tokens"])
        suited = jnp.minimum(runs["n_params"], best_size(self._base(values), unique))
        repeats = runs["n_tokens"] / unique - 1
        excess = runs["n_params"] / suited - 1
        return (
            suited * (1 + _worth(excess, values["R_N*"])),
            unique * (1 + _worth(repeats, values["R_D*"])),
        )

    def optimum(self, values: Values, params_times_tokens: Any) -> tuple[Any, Any]:
        """`(N*, D*)` when only so many tokens are unique, by a search over ln N.

        No closed form is known. A grid, golden sections, then one Newton step, through which the
        derivatives of the optimum pass.

        Args:
            values: the parameters, and `unique_tokens`, U.
            params_times_tokens: N D.

        Raises:
            TypeError: no unique tokens among the values.
        """
        if UNIQUE not in values:
            raise TypeError(
                f"{self.title} divides compute only where {UNIQUE} is given, the tokens there are"
            )
        given = jnp.asarray(params_times_tokens)
        product = jnp.ravel(given)

        def loss(log_size: Any) -> Any:
            size = jnp.exp(log_size)
            unique = jnp.broadcast_to(values[UNIQUE], size.shape)
            return self.predict(
                values, {"n_params": size, "n_tokens": product / size, UNIQUE: unique}
            )

        size, _ = Chinchilla().optimum(self._base(values), product)
        centre = jax.lax.stop_gradient(jnp.log(size))
        at = _newton(loss, jax.lax.stop_gradient(_least(loss, centre)))
        size = jnp.exp(at)
        return size.reshape(given.shape), (product / size).reshape(given.shape)

    def _base(self, values: Values) -> Values:
        return values if self.base is None else dict(self.base)


def best_size(values: Values, tokens: Any) -> Any:
    """The size that `tokens` suit best under a Chinchilla law: N = (D G)^(beta / alpha) G."""
    both = values["alpha"] + values["beta"]
    log_ratio = jnp.log(values["alpha"]) + jnp.log(values["A"])
    log_ratio = log_ratio - jnp.log(values["beta"]) - jnp.log(values["B"])
    log_g = log_ratio / both
    return jnp.exp((jnp.log(tokens) + log_g) * values["beta"] / values["alpha"] + log_g)


def _worth(times: Any, scale: Any) -> Any:
    """R* (1 - exp(-R / R*))."""
    return -scale * jnp.expm1(-times / scale)


def _least(loss: Any, centre: Any) -> Any:
    """Where `loss`, of an array like `centre`, is least within `WIDE` of it; one valley each."""
    offsets = jnp.linspace(-WIDE, WIDE, COARSE)
    table = jax.vmap(lambda offset: loss(centre + offset))(offsets)
    best = jnp.clip(jnp.argmin(table, axis=0), 1, COARSE - 2)
    low, high = centre + offsets[best - 1], centre + offsets[best + 1]

    def cut(_: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = ends
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        falls = loss(left) > loss(right)
        return jnp.where(falls, left, low), jnp.where(falls, high, right)

    low, high = jax.lax.fori_loop(0, HALVED, cut, (low, high))
    return (low + high) / 2


def _newton(loss: Any, at: Any) -> Any:
    """One step from a point near the least; where the curve does not open upwards, none.

    Its derivative by a parameter is that of the least itself (implicit function theorem).
    """

    def slope(points: Any) -> Any:
        return jax.grad(lambda x: jnp.sum(loss(x)))(points)

    first, second = jax.jvp(slope, (at,), (jnp.ones_like(at),))
    step = jnp.where(second > 0, first / jnp.where(second > 0, second, 1.0), 0.0)
    return at - jnp.clip(step, -WIDE / COARSE, WIDE / COARSE)
