"""The joint law of Kaplan et al. 2020, without a loss that stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from workbench.scaling.laws.law import Columns, Law, Parameter, Values, log_sum


@dataclass(frozen=True)
class Kaplan(Law):
    """L(N, D) = [(Nc / N)^(alpha_N / alpha_D) + Dc / D]^alpha_D (arXiv 2001.08361, eq. 1.5).

    N counts no embedding in the paper.
    """

    key: ClassVar[str] = "kaplan"
    title: ClassVar[str] = "Kaplan"
    source: ClassVar[str] = "Kaplan et al. 2020, arXiv 2001.08361"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Nc, alpha_N, Dc, alpha_D."""
        return (
            Parameter("Nc", (1e6, 1e16), about="scale of N, parameters"),
            Parameter("alpha_N", (0.01, 0.5), bounds=(1e-4, 4.0), about="exponent of N"),
            Parameter("Dc", (1e6, 1e16), about="scale of D, tokens"),
            Parameter("alpha_D", (0.01, 0.5), bounds=(1e-4, 4.0), about="exponent of D"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        size = jnp.log(values["Nc"]) - jnp.log(runs["n_params"])
        data = jnp.log(values["Dc"]) - jnp.log(runs["n_tokens"])
        ratio = values["alpha_N"] / values["alpha_D"]
        return jnp.exp(values["alpha_D"] * log_sum(ratio * size, data))

    def optimum(self, values: Values, params_times_tokens: Any) -> tuple[Any, Any]:
        """N* = (r Nc^r N D / Dc)^(1 / (1 + r)) with r = alpha_N / alpha_D, by setting dL = 0."""
        ratio = values["alpha_N"] / values["alpha_D"]
        product = jnp.log(params_times_tokens)
        log_n = jnp.log(ratio) + ratio * jnp.log(values["Nc"]) + product - jnp.log(values["Dc"])
        log_n = log_n / (1 + ratio)
        return jnp.exp(log_n), jnp.exp(product - log_n)
