"""How a fit is made: kept with it, so that it can be made again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Objective = Literal["huber", "squared", "absolute"]
Resampling = Literal["case", "size", "cluster", "parametric"]

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

    def __post_init__(self) -> None:
        choices = {"objective": Objective, "resampling": Resampling}
        for name, known in choices.items():
            if getattr(self, name) not in get_args(known):
                words = ", ".join(get_args(known))
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {words}")
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"delta is {self.delta!r}, not a number above 0")
        for name, least in (("starts", 1), ("bootstrap", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a number from {least}")

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
