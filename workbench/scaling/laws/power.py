"""One quantity against another: power laws that fall to a floor, rise, or saturate at 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from workbench.scaling.laws.law import Columns, Law, Parameter, Values, log_sum


@dataclass(frozen=True)
class LossCompute(Law):
    """L(C) = E + A C^-alpha, with compute in FLOPs; without E where nothing stays.

    Args:
        floor: with E. The MatMul-free LM's figure (arXiv 2406.02528) and Kaplan's L(C) have none.
            Of that figure neither the constants of its two lines nor the losses behind them are
            published, so there is no preset: it was drawn through 370 M parameters on 15 B tokens,
            and 1.3 B and 2.7 B on 100 B.
        over: the column that is C.
    """

    floor: bool = True
    over: str = "flops"

    key: ClassVar[str] = "loss-compute"
    title: ClassVar[str] = "Loss against compute"
    source: ClassVar[str] = "Kaplan et al. 2020; Porian et al. 2024, arXiv 2406.19146"

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """C alone."""
        return (self.over,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """E, A, alpha; without E where there is no floor."""
        found = (
            Parameter("E", (0.3, 3.0), about="loss that stays, nats a token"),
            Parameter("A", (0.1, 1e6), about="loss at one FLOP"),
            Parameter("alpha", (0.02, 0.5), False, (0.0, 4.0), "exponent of compute"),
        )
        return found if self.floor else found[1:]

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        term = jnp.log(values["A"]) - values["alpha"] * jnp.log(runs[self.over])
        return jnp.exp(log_sum(term, jnp.log(values["E"])) if self.floor else term)


@dataclass(frozen=True)
class PowerLaw(Law):
    """y = c x^p, as the diffusion study's text-to-image scores (arXiv 2404.02883).

    Args:
        over: the column that is x.
        of: the column that is y.
    """

    over: str = "x"
    of: str = "score"

    key: ClassVar[str] = "power"
    title: ClassVar[str] = "Power law"
    source: ClassVar[str] = "Li et al. 2024, arXiv 2404.02883"

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """x alone."""
        return (self.over,)

    @property
    def target(self) -> str:  # type: ignore[override]
        """y."""
        return self.of

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """c and p."""
        return (
            Parameter("c", (0.01, 100.0), about="y at x = 1"),
            Parameter("p", (-1.0, 1.0), False, (-4.0, 4.0), "exponent"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """y of each row."""
        return jnp.exp(jnp.log(values["c"]) + values["p"] * jnp.log(runs[self.over]))


@dataclass(frozen=True)
class BoundedPower(PowerLaw):
    """logit y = ln c + p ln x: a score that cannot pass 1, where a power law would. Ours."""

    key: ClassVar[str] = "bounded-power"
    title: ClassVar[str] = "Power law of the odds"
    source: ClassVar[str] = "ours, beside arXiv 2404.02883"

    def predict(self, values: Values, runs: Columns) -> Any:
        """y of each row, below 1."""
        return jax.nn.sigmoid(jnp.log(values["c"]) + values["p"] * jnp.log(runs[self.over]))

    def residuals(self, values: Values, runs: Columns) -> Any:
        """logit y less the law's."""
        odds = jnp.log(runs[self.of]) - jnp.log1p(-jnp.minimum(runs[self.of], 1 - 1e-9))
        return odds - jnp.log(values["c"]) - values["p"] * jnp.log(runs[self.over])
