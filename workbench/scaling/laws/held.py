"""A law with one parameter held at a value: for profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.laws.law import Columns, Law, Parameter, Values

COLUMN = "held"


@dataclass(frozen=True)
class Held(Law):
    """A law with one parameter given by a column, so that each value needs no new compiling.

    Args:
        law: which.
        name: of the parameter.
    """

    law: Law
    name: str

    key: ClassVar[str] = "held"

    @property
    def title(self) -> str:  # type: ignore[override]
        """With what is held."""
        return f"{self.law.title}, {self.name} held"

    @property
    def target(self) -> str:  # type: ignore[override]
        """As of the law."""
        return self.law.target

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the law, and the value."""
        return (*self.law.columns, COLUMN)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All others."""
        return tuple(one for one in self.law.parameters if one.name != self.name)

    def numbers(self, column: str, given: pd.Series) -> NDArray[Any]:
        """As of the law."""
        return self.law.numbers(column, given)

    def predict(self, values: Values, runs: Columns) -> Any:
        """As of the law."""
        return self.law.predict({**values, self.name: runs[COLUMN][0]}, runs)

    def residuals(self, values: Values, runs: Columns) -> Any:
        """As of the law."""
        return self.law.residuals({**values, self.name: runs[COLUMN][0]}, runs)
