"""Over-training and what comes of it downstream: Gadre et al. 2024, and OLMo's sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.law import Columns, Law, Parameter, Values


@dataclass(frozen=True)
class OverTraining(Law):
    """L = E + x N^-eta + y 6^(-eta / 2) D^-eta, one exponent for both (arXiv 2403.08540)."""

    key: ClassVar[str] = "over-training"
    title: ClassVar[str] = "Over-training"
    source: ClassVar[str] = "Gadre et al. 2024, arXiv 2403.08540"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """E, x, y, eta."""
        return (
            Parameter("E", (0.3, 3.0), about="loss that stays, nats a token"),
            Parameter("x", (1.0, 1e7), about="of the term in N"),
            Parameter("y", (1.0, 1e9), about="of the term in D"),
            Parameter("eta", (0.05, 1.0), False, (0.0, 4.0), "exponent of both"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        return Chinchilla().predict(self._surface(values), runs)

    def optimum(self, values: Values, params_times_tokens: Any) -> tuple[Any, Any]:
        """`(N*, D*)`, as of Chinchilla's surface with equal exponents."""
        return Chinchilla().optimum(self._surface(values), params_times_tokens)

    def _surface(self, values: Values) -> dict[str, Any]:
        eta = values["eta"]
        b = values["y"] * 6.0 ** (-eta / 2)
        return {"E": values["E"], "A": values["x"], "alpha": eta, "B": b, "beta": eta}


@dataclass(frozen=True)
class DownstreamError(Law):
    """Err = epsilon - k exp(-gamma L): a mean task error from a loss (arXiv 2403.08540, eq. 5)."""

    key: ClassVar[str] = "downstream-error"
    title: ClassVar[str] = "Downstream error"
    source: ClassVar[str] = "Gadre et al. 2024, arXiv 2403.08540"
    columns: ClassVar[tuple[str, ...]] = ("loss",)
    target: ClassVar[str] = "error"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """epsilon, k, gamma."""
        return (
            Parameter("epsilon", (0.3, 1.0), bounds=(1e-3, 2.0), about="error at chance"),
            Parameter("k", (0.1, 10.0), about="how much of it a loss takes away"),
            Parameter("gamma", (0.1, 3.0), about="how fast, per nat"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The error of each run, a share."""
        return values["epsilon"] - values["k"] * jnp.exp(-values["gamma"] * runs["loss"])

    def residuals(self, values: Values, runs: Columns) -> Any:
        """Error less the law's: a share, whose logarithm means nothing."""
        return runs["error"] - self.predict(values, runs)


@dataclass(frozen=True)
class DownstreamAccuracy(Law):
    """accuracy = a / (1 + exp(k (L - L0))) + b: the second step of OLMo's model ladder.

    k is above 0: accuracy falls as the loss rises.
    """

    key: ClassVar[str] = "downstream-accuracy"
    title: ClassVar[str] = "Downstream accuracy"
    source: ClassVar[str] = "Bhagia et al. 2024, arXiv 2412.04403"
    columns: ClassVar[tuple[str, ...]] = ("loss",)
    target: ClassVar[str] = "accuracy"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """a, k, L0, b."""
        return (
            Parameter("a", (0.2, 1.0), bounds=(1e-3, 2.0), about="from chance to the best"),
            Parameter("k", (0.5, 10.0), about="how steep, per nat"),
            Parameter("L0", (0.3, 4.0), about="loss in the middle, nats"),
            Parameter("b", (0.0, 0.5), False, (-0.5, 1.0), "accuracy at chance"),
        )

    def predict(self, values: Values, runs: Columns) -> Any:
        """The accuracy of each run, a share."""
        steep = values["k"] * (runs["loss"] - values["L0"])
        return values["a"] * jax.nn.sigmoid(-steep) + values["b"]

    def residuals(self, values: Values, runs: Columns) -> Any:
        """Accuracy less the law's."""
        return runs["accuracy"] - self.predict(values, runs)
