"""The parametric loss surface of Hoffmann et al. 2022 (Chinchilla), approach 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from workbench.scaling.laws.law import Columns, Law, Parameter, Values, log_sum
from workbench.scaling.laws.logarithm import log


@dataclass(frozen=True)
class Chinchilla(Law):
    """L(N, D) = E + A N^-alpha + B D^-beta (Hoffmann et al. 2022, arXiv 2203.15556, eq. 2).

    Args:
        tied: one exponent for both, as Muennighoff et al. 2023 fit it.
    """

    tied: bool = False

    key: ClassVar[str] = "chinchilla"
    title: ClassVar[str] = "Chinchilla, approach 3"
    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv 2203.15556"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """E, A, alpha, B, beta; without beta where it is tied."""
        found = (
            Parameter("E", (0.3, 3.0), about="loss that no size and no data remove, nats a token"),
            Parameter("A", (1.0, 1e7), about="of the term in N"),
            Parameter("alpha", (0.05, 1.0), False, (0.0, 4.0), "exponent of N"),
            Parameter("B", (1.0, 1e9), about="of the term in D"),
            Parameter("beta", (0.05, 1.0), False, (0.0, 4.0), "exponent of D"),
        )
        return found[:-1] if self.tied else found

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        return jnp.exp(surface(self.derived(values) | dict(values), runs))

    def residuals(self, values: Values, runs: Columns) -> Any:
        """The logarithm of a run's loss over the law's."""
        return jnp.log(runs["loss"]) - surface(self.derived(values) | dict(values), runs)

    def linear(self, point: Any, runs: Columns) -> tuple[Any, Any]:
        """As of every law, written out: the derivatives of ln L are the terms' shares of L.

        No term over- or underflows: the coordinates are bounded.
        """
        size, data, loss = (jnp.log(runs[name]) for name in (*self.columns, self.target))
        log_e, log_a, alpha, log_b, *rest = point
        beta = alpha if self.tied else rest[0]
        terms = jnp.exp(log_e), jnp.exp(log_a - alpha * size), jnp.exp(log_b - beta * data)
        whole = terms[0] + terms[1] + terms[2]
        over = -1 / whole
        by_e, by_a, by_b = (term * over for term in terms)
        by_alpha, by_beta = -size * by_a, -data * by_b
        exponents = (by_alpha + by_beta, by_b) if self.tied else (by_alpha, by_b, by_beta)
        return loss - log(whole), jnp.stack([by_e, by_a, *exponents])

    def derived(self, values: Values) -> dict[str, Any]:
        """beta, where it is alpha."""
        return {"beta": values["alpha"]} if self.tied else {}

    def optimum(self, values: Values, params_times_tokens: Any) -> tuple[Any, Any]:
        """`(N*, D*)`: N* = G (N D)^a and D* = (N D)^b / G.

        With G = (alpha A / (beta B))^(1 / (alpha + beta)), a = beta / (alpha + beta) and
        b = 1 - a (Hoffmann et al. 2022, eq. 4).
        """
        found = self.derived(values) | dict(values)
        alpha, beta = found["alpha"], found["beta"]
        both = alpha + beta
        log_ratio = jnp.log(alpha) + jnp.log(found["A"]) - jnp.log(beta) - jnp.log(found["B"])
        log_g, product = log_ratio / both, jnp.log(params_times_tokens)
        log_n = log_g + product * beta / both
        return jnp.exp(log_n), jnp.exp(product - log_n)


def surface(values: Values, runs: Columns) -> Any:
    """ln L, from the logarithms of its three terms: no power is formed."""
    return log_sum(
        jnp.log(values["E"]),
        jnp.log(values["A"]) - values["alpha"] * jnp.log(runs["n_params"]),
        jnp.log(values["B"]) - values["beta"] * jnp.log(runs["n_tokens"]),
    )
