"""How a fit is made: kept with it, so that it can be made again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Objective = Literal["huber", "squared", "absolute"]
Resampling = Literal["case", "size", "cluster", "parametric"]
Estimator = Literal["residuals", "projection"]
"""What the objective is of: a law's residuals, for a loss its logarithm's; or, by `project`, the
loss less the law's, searched over the exponents alone."""

NEARLY_NOTHING = 1e-8
"""With Huber's delta so small, the function over delta is the absolute value."""


@dataclass(frozen=True)
class Settings:
    """Of a fit; see `fit` for each."""

    objective: Objective = "huber"
    delta: float = 1e-3
    starts: int = 64
    bootstrap: int = 0
    resampling: Resampling = "case"
    seed: int = 0
    estimator: Estimator = "residuals"

    def __post_init__(self) -> None:
        choices = {"objective": Objective, "resampling": Resampling, "estimator": Estimator}
        for name, known in choices.items():
            if getattr(self, name) not in get_args(known):
                words = ", ".join(get_args(known))
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {words}")
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"delta is {self.delta!r}, not a number above 0")
        for name, least in (("starts", 1), ("bootstrap", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a number from {least}")

    def need_residuals(self) -> None:
        """Before anything that reads the objective as one of a law's residuals.

        Raises:
            ValueError: it is another.
        """
        if self.estimator != "residuals":
            raise ValueError(
                f"estimator is {self.estimator!r}: its objective is of the loss itself; this "
                "needs a fit by `fit`, of the law's residuals"
            )

    @property
    def threshold(self) -> float:
        """The solver's delta."""
        if self.objective == "huber":
            return self.delta
        return math.inf if self.objective == "squared" else NEARLY_NOTHING

    @property
    def unit(self) -> float:
        """What the solver's objective is divided by: for absolute values, its delta."""
        return NEARLY_NOTHING if self.objective == "absolute" else 1.0
