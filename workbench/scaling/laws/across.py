"""One law for several methods at once: some parameters common to all, the others each method's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.scaling.laws.chinchilla import Chinchilla
from workbench.scaling.laws.law import Columns, Law, Parameter, Values

METHOD = "method"


@dataclass(frozen=True)
class Across(Law):
    """A law fitted to several methods together.

    Exponents that are common condition the rest far better than a fit for each method: what is left
    to compare is the methods' A and B.

    Args:
        methods: as the column `method` names them.
        law: of each.
        shared: parameters common to all.
    """

    methods: tuple[str, ...]
    law: Law = field(default_factory=Chinchilla)
    shared: tuple[str, ...] = ("E", "alpha", "beta")

    key: ClassVar[str] = "across"
    source: ClassVar[str] = "shared exponents, as arXiv 2602.07712"
    texts: ClassVar[tuple[str, ...]] = (METHOD,)

    def __post_init__(self) -> None:
        unknown = set(self.shared) - set(self.law.names)
        if unknown:
            raise ValueError(
                f"shared has {', '.join(sorted(unknown))}, which {self.law.title} does not: "
                f"{', '.join(self.law.names)}"
            )
        if len(set(self.methods)) != len(self.methods) or not self.methods:
            raise ValueError(f"methods is {self.methods!r}, not one or more different names")

    @property
    def title(self) -> str:  # type: ignore[override]
        """With what is shared."""
        return f"{self.law.title}, {', '.join(self.shared)} shared by {len(self.methods)} methods"

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the law, and the method."""
        return (*self.law.columns, METHOD)

    @property
    def varied(self) -> tuple[str, ...]:
        """As of the law."""
        return self.law.varied

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Shared ones, then each method's own as `A[dense]`."""
        own = [one for one in self.law.parameters if one.name not in self.shared]
        return (
            *(one for one in self.law.parameters if one.name in self.shared),
            *(
                replace(one, name=f"{one.name}[{method}]", about=f"{one.about} ({method})")
                for method in self.methods
                for one in own
            ),
        )

    def numbers(self, column: str, given: pd.Series) -> NDArray[np.float64]:
        """A method as its place among `methods`.

        Raises:
            ValueError: a method that is not among them.
        """
        if column != METHOD:
            return self.law.numbers(column, given)
        places = {method: float(place) for place, method in enumerate(self.methods)}
        unknown = sorted({str(name) for name in given} - set(places))
        if unknown:
            raise ValueError(f"method {', '.join(unknown)}: not among {', '.join(self.methods)}")
        return np.asarray([places[str(name)] for name in given])

    def of(self, method: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """A method's parameters under the law's own names."""
        return {
            name: values[name if name in self.shared else f"{name}[{method}]"]
            for name in self.law.names
        }

    def predict(self, values: Values, runs: Columns) -> Any:
        """The loss of each run."""
        return self.law.predict(self._by_run(values, runs), runs)

    def residuals(self, values: Values, runs: Columns) -> Any:
        """As of the law."""
        return self.law.residuals(self._by_run(values, runs), runs)

    def _by_run(self, values: Values, runs: Columns) -> dict[str, Any]:
        place = jnp.clip(runs[METHOD].astype(int), 0, len(self.methods) - 1)
        of_each = [self.of(method, values) for method in self.methods]
        return {
            name: values[name]
            if name in self.shared
            else jnp.stack([one[name] for one in of_each])[place]
            for name in self.law.names
        }
