"""What a fit found: parameters, intervals, predictions, and how to divide compute."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.measure.intervals import Interval
from workbench.scaling.flops import FLOPS
from workbench.scaling.laws.data_constrained import UNIQUE
from workbench.scaling.laws.law import Columns, Law, Values
from workbench.scaling.problem import law_columns, padded_rows
from workbench.scaling.settings import Settings
from workbench.scaling.solver import in_float64
from workbench.scaling.vanished import largest_shares, vanished

Estimator = Literal["residuals", "projection"]
"""What the objective is of: a law's residuals, for a loss its logarithm's; or, by `project`, the
loss less the law's, searched over the exponents alone."""

LOW, HIGH = 2.5, 97.5
"""Percentiles of every interval."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A law with the parameters that a table gives it.

    Attributes:
        law: which.
        settings: how it was fitted.
        fitted: the parameters that were free, by name.
        objective: the least sum over runs that was found.
        runs: the rows it was fitted to.
        dropped: what was left out, and why.
        draws: `[B, P]` parameters of each resample; None without a bootstrap.
        given: what a division of compute takes as it is, by column: for a law of repeated data
            `unique_tokens`, the tokens there are.
        estimator: what the objective is of, by `fit` or by `project`.
    """

    law: Law
    settings: Settings
    fitted: Mapping[str, float]
    objective: float
    runs: pd.DataFrame
    dropped: tuple[str, ...] = ()
    draws: NDArray[np.float64] | None = field(default=None, repr=False)
    given: Mapping[str, float] = field(default_factory=dict)
    estimator: Estimator = "residuals"

    def __post_init__(self) -> None:
        if self.estimator not in get_args(Estimator):
            words = ", ".join(get_args(Estimator))
            raise ValueError(f"estimator is {self.estimator!r}, not one of {words}")

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
    def params(self) -> dict[str, float]:
        """Every parameter under the paper's name, those that follow from others too."""
        return self._named(self.fitted)

    @cached_property
    def drawn(self) -> pd.DataFrame | None:
        """`params` of each resample, a row each."""
        if self.draws is None:
            return None
        return self._drawn_named()

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % percentile interval of each parameter; empty without a bootstrap."""
        if self.drawn is None:
            return {}
        lows, highs = _percentiles(self.drawn.to_numpy())
        return {
            name: Interval(self.params[name], float(low), float(high), len(self.drawn))
            for name, low, high in zip(self.drawn.columns, lows, highs, strict=True)
        }

    @cached_property
    def residuals(self) -> pd.Series:
        """Of each run: what was fitted, for a loss ln L less the law's ln L; by `project`, L less
        the law's.
        """
        return self._residuals()

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """The law's value for each row, with a 95 % interval where there was a bootstrap.

        Args:
            table: the law's columns.

        Returns:
            Columns `value`, `low`, `high`; of the law, not of a single run beside it.

        Raises:
            ValueError: a column that is missing.
        """
        missing = [name for name in self.law.columns if name not in table.columns]
        if missing:
            raise ValueError(f"columns {', '.join(missing)} are not in the table to predict")
        return self._predicted(table)

    def whole(self, table: pd.DataFrame) -> pd.DataFrame:
        """Sizes and tokens with the columns that the law reads beside them.

        They are those of `given`; of data that is given nowhere, every token is seen once.
        """
        more = {name: value for name, value in self.given.items() if name in self.law.columns}
        if UNIQUE in self.law.columns and UNIQUE not in more:
            return table.assign(**more, **{UNIQUE: table["n_tokens"]})
        return table.assign(**more)

    def allocation(self, compute: ArrayLike, *, flops: float = FLOPS) -> pd.DataFrame:
        """How to divide training compute between size and tokens, a row for each budget.

        Args:
            compute: FLOPs of training.
            flops: of one parameter and one token: C = flops N D.

        Returns:
            `compute`, `n_params` N*, `n_tokens` D*, `tokens_per_param`, `loss`; each with `_low`
            and `_high` where there was a bootstrap.

        Raises:
            TypeError: a law that does not say.
            ValueError: compute that is no number above 0.
        """
        budgets = np.atleast_1d(np.asarray(compute, float))
        if not (np.isfinite(budgets) & (budgets > 0)).all():
            raise ValueError(f"compute is {compute!r}, not numbers of FLOPs above 0")
        found = self._allocated(budgets / flops)
        table = pd.DataFrame({"compute": budgets})
        for name, (middle, many) in found.items():
            table[name] = middle
            if many is not None:
                table[f"{name}_low"], table[f"{name}_high"] = _percentiles(many)
        return table

    def summary(self) -> str:
        """The law, its parameters with intervals, and how they were found; for reading."""
        lines = [f"{self.law.title}: {len(self.runs)} runs, {self._how()}"]
        for name, value in self.params.items():
            interval = self.intervals.get(name)
            between = f"  ({interval.low:.4g} to {interval.high:.4g})" if interval else ""
            lines.append(f"  {name:<8} {value:.6g}{between}")
        lines += [
            f"  {'changes nothing' if name in self.vanished else 'at its bound'}: {name}"
            for name in self.at_bounds
        ]
        lines += [f"  left out: {words}" for words in self.dropped]
        return "\n".join(lines)

    @property
    def at_bounds(self) -> tuple[str, ...]:
        """Parameters that the table does not determine.

        They ended at the end of their range, or where they change nothing: see `vanished`.
        """
        found = []
        for parameter in self.law.parameters:
            at = float(np.asarray(self._inward(parameter.name)))
            end = min(abs(at - bound) for bound in parameter.range) < 1e-6
            if end or parameter.name in self.vanished:
                found.append(parameter.name)
        return tuple(found)

    @cached_property
    def vanished(self) -> tuple[str, ...]:
        """Positive parameters with which no loss moves, such as an E that fell to nothing.

        A hundredfold of such a value is as good, so that its interval says little.
        """
        return self._vanished()

    def save(self, file: Path, about: Mapping[str, Any] | None = None) -> None:
        """Writes the record from which `Fit.load` makes the fit again.

        Args:
            file: ends in `.json`.
            about: where its rows come from, of `record.about`.
        """
        from workbench.scaling.record import write

        write(self, file, about)

    @staticmethod
    def load(file: Path) -> Fit:
        """Reads a record.

        Raises:
            ValueError: it is no record of a fit, or of a law that is not known here.
        """
        from workbench.scaling.record import read

        return read(file)

    def _how(self) -> str:
        settings = self.settings
        shown = f"huber, delta {settings.delta:g}" if settings.objective == "huber" else ""
        shown = shown or settings.objective
        if self.estimator == "projection":
            words = f"variable projection, sum of {shown} of {self.law.target} itself "
            return words + f"{self.objective:.6g}, {settings.starts} pairs of exponents tried"
        words = f"sum of {shown} {self.objective:.6g}, {settings.starts} starts"
        if settings.bootstrap:
            words += f", {settings.bootstrap} {settings.resampling} resamples"
        return words

    @in_float64
    def _inward(self, name: str) -> Any:
        parameter = next(one for one in self.law.parameters if one.name == name)
        return parameter.inward(self.fitted[name])

    @in_float64
    def _vanished(self) -> tuple[str, ...]:
        rows, count = padded_rows(len(self.runs)), len(self.runs)
        weights = np.zeros(rows)
        weights[:count] = self.runs.get("weight", 1.0)
        point = np.asarray(self.law.coordinates(self.fitted))
        columns = law_columns(self.law, self.runs, rows)
        gone = vanished(self.law, largest_shares(self.law, point, columns, weights))
        return tuple(name for name, one in zip(self.law.names, gone, strict=True) if one)

    @in_float64
    def _named(self, values: Mapping[str, float]) -> dict[str, float]:
        found = dict(values) | self.law.derived(values)
        return {name: float(value) for name, value in found.items()}

    @in_float64
    def _drawn_named(self) -> pd.DataFrame:
        assert self.draws is not None
        values = self._columns_of_draws()
        found = values | self.law.derived(values)
        return pd.DataFrame({name: np.asarray(value) for name, value in found.items()})

    def _columns_of_draws(self) -> dict[str, Any]:
        assert self.draws is not None
        return dict(zip(self.law.names, jnp.asarray(self.draws).T, strict=True))

    @in_float64
    def _residuals(self) -> pd.Series:
        columns = law_columns(self.law, self.runs, padded_rows(len(self.runs)))
        if self.estimator == "projection":
            told = np.asarray(_values(self.law, dict(self.fitted), columns))[: len(self.runs)]
            found = self.runs[self.law.target].to_numpy(float) - told
        else:
            found = np.asarray(_misses(self.law, dict(self.fitted), columns))[: len(self.runs)]
        return pd.Series(found, index=self.runs.index, name="residual")

    @in_float64
    def _predicted(self, table: pd.DataFrame) -> pd.DataFrame:
        columns, rows = law_columns(self.law, table, padded_rows(len(table))), len(table)
        best = np.asarray(_values(self.law, dict(self.fitted), columns))[:rows]
        found = pd.DataFrame({"value": best}, index=table.index)
        if self.draws is not None:
            many = np.asarray(_values(self.law, self._columns_of_draws(), columns, many=True))
            found["low"], found["high"] = _percentiles(many[:, :rows])
        return found

    @in_float64
    def _allocated(
        self, products: NDArray[np.float64]
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
        count = len(products)
        given = jnp.asarray(np.pad(products, (0, padded_rows(count) - count), mode="edge"))
        fixed = {name: jnp.asarray(float(value)) for name, value in self.given.items()}
        best = _divided(self.law, dict(self.fitted), given, fixed)
        many = None
        if self.draws is not None:
            many = _divided(self.law, self._columns_of_draws(), given, fixed, many=True)
        return {
            name: (
                np.asarray(value)[:count],
                None if many is None else np.asarray(many[name])[:, :count],
            )
            for name, value in best.items()
        }


@functools.partial(jax.jit, static_argnames=("law", "many"))
def _values(law: Law, values: Values, columns: Columns, many: bool = False) -> Any:
    """The law's value of each row; for `many`, of each resample and row."""

    def one(given: Values) -> Any:
        return law.predict(given, columns)

    return jax.vmap(one)(values) if many else one(values)


@functools.partial(jax.jit, static_argnames=("law",))
def _misses(law: Law, values: Values, columns: Columns) -> Any:
    return law.residuals(values, columns)


@functools.partial(jax.jit, static_argnames=("law", "many"))
def _divided(
    law: Law, values: Values, products: Any, fixed: Values, many: bool = False
) -> dict[str, Any]:
    """The best division of each N D; for `many`, by each resample. `fixed` is of every run."""

    def one(given: Values) -> dict[str, Any]:
        params, tokens = law.optimum({**given, **fixed}, products)
        alike = {name: jnp.broadcast_to(value, products.shape) for name, value in fixed.items()}
        return {
            "n_params": params,
            "n_tokens": tokens,
            "tokens_per_param": tokens / params,
            "loss": law.predict(given, {"n_params": params, "n_tokens": tokens, **alike}),
        }

    return jax.vmap(one)(values) if many else one(values)


def _percentiles(many: NDArray[np.float64]) -> Sequence[Any]:
    """Low and high of an interval, over the first axis."""
    return list(np.percentile(many, [LOW, HIGH], axis=0))
