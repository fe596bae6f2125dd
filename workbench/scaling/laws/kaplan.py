"""The laws of Kaplan et al. 2020, without a loss that stays: of one limit, of data, of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

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


Limit = Literal["n_params", "n_tokens", "least_flops"]
"""What alone limits a run: its size, its data, or its compute in FLOPs."""

NAMED: Mapping[str, tuple[str, tuple[float, float], str]] = {
    "n_params": ("N", (1e6, 1e16), "parameters"),
    "n_tokens": ("D", (1e6, 1e16), "tokens"),
    "least_flops": ("C", (1e20, 1e32), "FLOPs"),
}
"""Letter, where the scale's starts are drawn, and unit of each limit."""


@dataclass(frozen=True)
class KaplanLimit(Law):
    """L(X) = (Xc / X)^alpha_X, where X alone limits a run (arXiv 2001.08361, eq. 1.1 to 1.3).

    N counts no embedding in the paper. Compute is C_min, divided at its best and spent in batches
    far below the critical one: see `least_compute`.

    Args:
        over: the column that is X.
    """

    over: Limit = "n_params"

    key: ClassVar[str] = "kaplan-limit"
    title: ClassVar[str] = "Kaplan, of one limit"
    source: ClassVar[str] = "Kaplan et al. 2020, arXiv 2001.08361"

    def __post_init__(self) -> None:
        if self.over not in get_args(Limit):
            raise ValueError(f"over is {self.over!r}, not one of {', '.join(get_args(Limit))}")

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """X alone."""
        return (self.over,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Xc and alpha_X, with N, D or C for X."""
        letter, start, unit = NAMED[self.over]
        about = f"exponent of {letter}"
        return (
            Parameter(f"{letter}c", start, about=f"scale of {letter}, {unit}"),
            Parameter(f"alpha_{letter}", (0.01, 0.5), bounds=(1e-4, 4.0), about=about),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        scale, exponent = self.names
        return jnp.exp(values[exponent] * (jnp.log(values[scale]) - jnp.log(runs[self.over])))


@dataclass(frozen=True)
class KaplanSteps(Law):
    """L(N, S) = (Nc / N)^alpha_N + (Sc / S)^alpha_S (arXiv 2001.08361, eq. 1.6).

    S is the least number of updates, that of a batch far above the critical one: see `least_steps`.
    N counts no embedding in the paper.
    """

    key: ClassVar[str] = "kaplan-steps"
    title: ClassVar[str] = "Kaplan, over time"
    source: ClassVar[str] = "Kaplan et al. 2020, arXiv 2001.08361"
    columns: ClassVar[tuple[str, ...]] = ("n_params", "least_steps")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Nc, alpha_N, Sc, alpha_S."""
        return (
            Parameter("Nc", (1e6, 1e16), about="scale of N, parameters"),
            Parameter("alpha_N", (0.01, 0.5), bounds=(1e-4, 4.0), about="exponent of N"),
            Parameter("Sc", (1.0, 1e6), about="scale of S, updates"),
            Parameter("alpha_S", (0.1, 2.0), bounds=(1e-4, 4.0), about="exponent of S"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        size = jnp.log(values["Nc"]) - jnp.log(runs["n_params"])
        time = jnp.log(values["Sc"]) - jnp.log(runs["least_steps"])
        return jnp.exp(log_sum(values["alpha_N"] * size, values["alpha_S"] * time))


B_STAR, ALPHA_B = 2.1e8, 0.21
"""Of the critical batch: tokens at a loss of 1, and its exponent (unconfirmed)."""


def critical_batch(loss: Any, *, scale: float = B_STAR, exponent: float = ALPHA_B) -> Any:
    """B_crit = B* / L^(1 / alpha_B): tokens of an update that costs twice the least of both.

    Args:
        loss: L, nats a token.
        scale: B*, tokens.
        exponent: alpha_B.
    """
    return scale / loss ** (1 / exponent)


def least_steps(steps: Any, batch: Any, critical: Any) -> Any:
    """S_min = S / (1 + B_crit / B): the updates that a batch without bound would need.

    Args:
        steps: S, updates that were made.
        batch: B, tokens of an update.
        critical: B_crit, tokens.
    """
    return steps / (1 + critical / batch)


def least_compute(compute: Any, batch: Any, critical: Any) -> Any:
    """C_min = C / (1 + B / B_crit): the compute that a small batch would need.

    Args:
        compute: C in FLOPs.
        batch: B, tokens of an update.
        critical: B_crit, tokens.
    """
    return compute / (1 + batch / critical)
