"""The broken neural scaling law of Caballero et al. 2022."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from workbench.scaling.laws.law import Columns, Law, Parameter, Values


@dataclass(frozen=True)
class Broken(Law):
    """y = a + b x^-c0 prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i) (arXiv 2210.14891, eq. 1).

    Fitted to ln(y + 1), as its authors do. Ask for at least three points a parameter.

    Args:
        breaks: how many.
        over: the column that is x.
        of: the column that is y.
    """

    breaks: int = 1
    over: str = "n_tokens"
    of: str = "loss"

    key: ClassVar[str] = "broken"
    title: ClassVar[str] = "Broken neural scaling law"
    source: ClassVar[str] = "Caballero et al. 2022, arXiv 2210.14891"

    def __post_init__(self) -> None:
        if not 0 <= self.breaks <= 4:
            raise ValueError(f"breaks is {self.breaks!r}, not a number from 0 to 4")

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
        """a, b, c0, then c, d, f of each break."""
        found = [
            Parameter("a", (1e-3, 3.0), about="where y ends"),
            Parameter("b", (0.1, 1e6), about="scale of y"),
            Parameter("c0", (0.0, 1.0), False, (-4.0, 4.0), "first exponent"),
        ]
        for i in range(1, self.breaks + 1):
            found += [
                Parameter(f"c{i}", (-0.5, 1.0), False, (-4.0, 4.0), "what the exponent gains"),
                Parameter(f"d{i}", (1.0, 1e12), about="x of the break"),
                Parameter(f"f{i}", (0.05, 1.0), bounds=(1e-3, 10.0), about="how smooth it is"),
            ]
        return tuple(found)

    def predict(self, values: Values, runs: Columns) -> Any:
        """y of each row."""
        x = jnp.log(runs[self.over])
        log_y = jnp.log(values["b"]) - values["c0"] * x
        for i in range(1, self.breaks + 1):
            gain, smooth = values[f"c{i}"], values[f"f{i}"]
            log_y -= gain * smooth * jnp.logaddexp(0.0, (x - jnp.log(values[f"d{i}"])) / smooth)
        return values["a"] + jnp.exp(log_y)

    def residuals(self, values: Values, runs: Columns) -> Any:
        """ln(y + 1) less the law's."""
        return jnp.log1p(runs[self.of]) - jnp.log1p(self.predict(values, runs))
