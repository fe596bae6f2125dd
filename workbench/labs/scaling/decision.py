"""What a fit says to do with a budget, what limits it, and which run would tell most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.figures import numbers
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.selection import COMPUTE, Selection

if TYPE_CHECKING:
    import pandas as pd

WIDE = 2.0
"""Upper over lower end from which an interval itself is what limits."""

FAR = 10.0
"""Times beyond the largest run from which that is what limits."""


@dataclass(frozen=True)
class Decision:
    """How to spend a budget.

    Attributes:
        compute: FLOPs.
        row: of the allocation: `n_params`, `n_tokens`, `loss`, with `_low` and `_high`.
        beyond: the budget over the largest run's.
        limit: what limits it, in words.
        next_run: `n_params` and `n_tokens` of the run that would tell most for its FLOPs.
        sizes: what N counts, in words.
    """

    compute: float
    row: Mapping[str, float]
    beyond: float
    limit: str
    next_run: Mapping[str, float] | None
    sizes: str = "parameters"

    @property
    def words(self) -> str:
        """One sentence."""
        times = f", {numbers.number(self.beyond, 2)} times the largest run" if self.known else ""
        parts = [
            f"With {numbers.number(self.compute)} FLOP{times}: "
            f"{self.written('n_params')} {self.sizes} on {self.written('n_tokens')} tokens, "
            f"loss {self.loss}",
            f"what limits this: {self.limit}",
        ]
        if self.next_run is not None:
            size, tokens = (numbers.count(self.next_run[k]) for k in ("n_params", "n_tokens"))
            parts.append(f"next run: {size} {self.sizes} on {tokens} tokens")
        return "; ".join(parts) + "."

    @property
    def known(self) -> bool:
        """Whether the budget lies beyond the runs."""
        return self.beyond > 1

    @property
    def loss(self) -> str:
        """With its interval."""
        ends = interval(self.row, "loss", lambda value: f"{value:.3f}")
        return f"{self.row['loss']:.3f}" + (f" ({ends})" if ends else "")

    def written(self, name: str) -> str:
        """A count with its interval: 5.2 B (4.8–5.7 B)."""
        ends = interval(self.row, name, numbers.count)
        return numbers.count(self.row[name]) + (f" ({ends})" if ends else "")


@dataclass(frozen=True)
class Ahead:
    """What a law of compute alone says of a budget.

    Attributes:
        compute: FLOPs.
        row: `loss`, with `loss_low` and `loss_high`.
        beyond: the budget over the largest run's.
    """

    compute: float
    row: Mapping[str, float]
    beyond: float

    @property
    def words(self) -> str:
        """One sentence."""
        ends = interval(self.row, "loss", lambda value: f"{value:.3f}")
        return (
            f"With {numbers.number(self.compute)} FLOP, {numbers.number(self.beyond, 2)} times the "
            f"largest run, the least loss is {self.row['loss']:.3f}{f' ({ends})' if ends else ''}; "
            "this law divides nothing between size and data."
        )


def ahead_of(found: Fitted, chosen: Selection, times: float) -> Ahead | None:
    """The loss at so many times the largest run, by a law of compute alone; None for others."""
    import pandas as pd

    if tuple(found.fit.law.columns) != (COMPUTE,):
        return None
    compute = times * chosen.largest
    told = found.fit.predict(pd.DataFrame({COMPUTE: [compute]})).iloc[0]
    named = {"value": "loss", "low": "loss_low", "high": "loss_high"}
    return Ahead(compute, {named[str(name)]: float(v) for name, v in told.items()}, times)


def interval(row: Mapping[str, float], name: str, write: object) -> str:
    """`low – high` of a column in words, empty where there is no interval."""
    if f"{name}_low" not in row or not callable(write):
        return ""
    return f"{write(row[f'{name}_low'])} – {write(row[f'{name}_high'])}"


def decide(found: Fitted, chosen: Selection, compute: float) -> Decision:
    """The division of a budget, with what limits it.

    Raises:
        TypeError: a law that divides nothing.
    """
    row = chosen.counted.allocation(found.fit, compute).iloc[0].to_dict()
    beyond = compute / chosen.largest
    limit = limits(found, chosen, row, beyond)
    after = next_run(found, chosen, compute)
    return Decision(compute, row, beyond, limit, after, chosen.sizes)


def limits(
    found: Fitted, chosen: Selection, row: Mapping[str, float], beyond: float
) -> str:  # fmt: skip
    """The first of what is known to make such a decision wrong, in words."""
    fit = found.fit
    if fit.at_bounds:
        return f"these runs do not determine {', '.join(fit.at_bounds)}"
    miss = missed(found.tested)
    if miss:
        return miss
    side = unbracketed(found, chosen)
    if side:
        return side
    low, high = row.get("n_params_low"), row.get("n_params_high")
    if low is not None and high is not None and high / low > WIDE:
        return f"the interval of the size spans a factor of {numbers.number(high / low, 2)}"
    if beyond > FAR:
        return f"it lies {numbers.number(beyond, 2)} times beyond the largest run"
    spread = 1.4826 * float(np.median(np.abs(fit.residuals - fit.residuals.median())))
    return f"the scatter of single runs, {numbers.number(100 * spread, 2)} % of the loss"


def missed(tested: pd.DataFrame | None) -> str:
    """Says that the largest held-out run lies outside its prediction's interval."""
    if tested is None or "low" not in tested.columns:
        return ""
    top = tested.iloc[0]
    if top["low"] <= top["loss"] <= top["high"]:
        return ""
    error = numbers.number(100 * abs(top["error"]), 2)
    return f"the largest held-out run is missed by {error} %, more than the interval allows"


def unbracketed(found: Fitted, chosen: Selection) -> str:
    """Says that the best size of the largest budget lies beyond the sizes that were run."""
    from workbench.scaling.parabolas import budgets

    of_budgets = [(c, rows) for c, rows in budgets(chosen.runs) if rows["n_params"].nunique() > 2]
    if not of_budgets:
        return ""
    _, rows = of_budgets[-1]
    best = chosen.counted.allocation(found.fit, float(rows["flops"].median()))["n_params"].iloc[0]
    sizes = rows["n_params"].astype(float)
    if sizes.min() < best < sizes.max():
        return ""
    side = "larger" if best >= sizes.max() else "smaller"
    return f"at the largest budget no run is {side} than the best size"


def next_run(
    found: Fitted, chosen: Selection, compute: float
) -> Mapping[str, float] | None:  # fmt: skip
    """The run that would take most from the variance of ln D* for its FLOPs, or None."""
    table = candidates(found, chosen, compute)
    return None if table is None else table.iloc[0].to_dict()


def candidates(found: Fitted, chosen: Selection, compute: float) -> pd.DataFrame | None:
    """Runs within what was run, from a tenth of the largest budget up, best first.

    None for a law that gives no division of compute.
    """
    import pandas as pd

    from workbench.scaling.plan import next_runs

    sizes = chosen.runs["n_params"].astype(float)
    rows = [
        {"n_params": size, "n_tokens": float(budget / chosen.counted.cost(size) / size)}
        for budget in chosen.largest * np.asarray([0.1, 0.3, 1.0])
        for size in np.geomspace(sizes.min(), sizes.max(), 13)
    ]
    table = found.fit.whole(pd.DataFrame(rows))
    try:
        return next_runs(found.fit, table, compute, flops=chosen.counted.a_token)
    except TypeError:
        return None
