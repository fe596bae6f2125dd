"""What a scaling law is: named parameters, and the loss they give a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from numpy.typing import NDArray

Values = Mapping[str, Any]
"""Parameters by name: a number each, or one a run where methods have their own."""

Columns = Mapping[str, Float[Array, " R"]]
"""What a law reads of a table, by column: a number for each of `R` runs, float64."""

LEAST, MOST = -60.0, 120.0
"""Bounds of the logarithm of a positive parameter; at the lower one its term is nothing."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a law.

    Attributes:
        name: as the paper writes it.
        start: between these values starts are drawn; by ratio where `positive`.
        positive: fitted as its logarithm.
        bounds: it stays between them; None for no other than being positive.
        about: in words, with its unit.
    """

    name: str
    start: tuple[float, float]
    positive: bool = True
    bounds: tuple[float, float] | None = None
    about: str = ""

    @property
    def box(self) -> tuple[float, float]:
        """`start` in the coordinate that is fitted."""
        low, high = self.start
        return (math.log(low), math.log(high)) if self.positive else (low, high)

    @property
    def range(self) -> tuple[float, float]:
        """`bounds` in the coordinate that is fitted."""
        if not self.positive:
            return self.bounds or (-math.inf, math.inf)
        low, high = self.bounds or (0.0, math.inf)
        return (math.log(low) if low > 0 else LEAST, min(math.log(high), MOST))

    def inward(self, value: Any) -> Any:
        """The coordinate that is fitted, of a value; the bound where the value is beyond it."""
        low, high = self.range
        if self.positive:
            value = jnp.log(jnp.maximum(jnp.asarray(value, float), math.exp(low)))
        return jnp.clip(value, low, high)

    def outward(self, coordinate: Any) -> Any:
        """The value, of the coordinate that is fitted."""
        return jnp.exp(coordinate) if self.positive else coordinate


@dataclass(frozen=True)
class Law:
    """A law; settings are fields, so that equal laws share a compiled fit.

    Class attributes:
        key: in records and on the command line.
        title: on the screen.
        source: the paper.
        columns: of the table it needs, beside `target`.
        target: the column it predicts.
        texts: those of its columns that hold names.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("n_params", "n_tokens")
    target: ClassVar[str] = "loss"
    texts: ClassVar[tuple[str, ...]] = ()

    @property
    def varied(self) -> tuple[str, ...]:
        """Columns of which one value is not enough."""
        return self.columns

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order in which they are fitted."""
        raise NotImplementedError

    def predict(self, values: Values, runs: Columns) -> Float[Array, " R"]:
        """`target` of each run."""
        raise NotImplementedError

    def numbers(self, column: str, given: pd.Series) -> NDArray[np.float64]:
        """A column as numbers."""
        return given.to_numpy(float)

    def residuals(self, values: Values, runs: Columns) -> Float[Array, " R"]:
        """What is fitted: the logarithm of a run's loss over the law's."""
        return jnp.log(runs[self.target]) - jnp.log(self.predict(values, runs))

    def linear(
        self, point: Float[Array, " P"], runs: Columns
    ) -> tuple[Float[Array, " R"], Float[Array, "P R"]]:
        """Residuals at a point of the coordinates that are fitted, and their derivatives there.

        The solver takes these at every step: a law whose derivatives are cheaper written out does
        so.
        """
        residual, along = jax.linearize(lambda at: self.residuals(self.values(at), runs), point)
        return residual, jax.vmap(along)(jnp.eye(len(point)))

    def derived(self, values: Values) -> dict[str, Any]:
        """Further values under the paper's names, from the fitted ones."""
        return {}

    def optimum(self, values: Values, params_times_tokens: Any) -> tuple[Any, Any]:
        """`(N*, D*)` with the least loss where N D is fixed.

        Raises:
            TypeError: for a law that says nothing of both.
        """
        raise TypeError(f"{self.title} gives no division of compute between size and tokens")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    def values(self, coordinates: Any) -> dict[str, Any]:
        """Parameters by name, from the `[P]` coordinates that are fitted."""
        found = zip(self.parameters, coordinates, strict=True)
        return {parameter.name: parameter.outward(at) for parameter, at in found}

    def coordinates(self, values: Values) -> Float[Array, " P"]:
        """The coordinates that are fitted, from parameters by name."""
        return jnp.stack(
            [parameter.inward(values[parameter.name]) for parameter in self.parameters]
        )


def log_sum(*terms: Any) -> Any:
    """ln of a sum of terms given by their logarithms, with no overflow."""
    shape = jnp.broadcast_shapes(*(jnp.shape(term) for term in terms))
    return jax.nn.logsumexp(jnp.stack([jnp.broadcast_to(term, shape) for term in terms]), axis=0)
