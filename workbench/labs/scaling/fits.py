"""Fits of the panels: the law at once, then its test on the largest runs, then its intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.home import keep_compiled
from workbench.labs.scaling import recorded
from workbench.labs.scaling.selection import COMPUTE
from workbench.progress import Report

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.laws.law import Law
    from workbench.scaling.result import Fit
    from workbench.scaling.settings import Settings


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit, and how well the same law foresaw the largest runs from the others.

    Attributes:
        fit: of all runs.
        tested: the held-out runs, the largest first, with `value`, `error`, and `low` and `high`
            where there are intervals; None where it was not tested, with the reason in `why`.
        why: why there is no test.
    """

    fit: Fit
    tested: pd.DataFrame | None = None
    why: str = "The test follows the fit."


class Fits:
    """What was fitted, kept by law, settings and rows; the next fit starts from the last one."""

    def __init__(self) -> None:
        self._kept: dict[Any, Fitted] = {}
        self._near: dict[Law, Mapping[str, float]] = {}

    def known(
        self, law: Law, settings: Settings, runs: pd.DataFrame, held_out: float
    ) -> Fitted | None:
        """What was fitted here with these settings, or None."""
        return self._kept.get(_key(law, settings, runs, held_out))

    def fitted(
        self, law: Law, settings: Settings, runs: pd.DataFrame, held_out: float, report: Report
    ) -> Iterator[Fitted]:
        """The law, then with its test, then with intervals of both.

        Raises:
            RunsError: no row that can be used.
        """
        known = self.known(law, settings, runs, held_out)
        if known is not None:
            yield known
            return
        from workbench.scaling.fitting import fit

        keep_compiled()
        report(0, 3, f"Fitting {law.title}")
        plain = replace(settings, bootstrap=0)
        first = fit(law, runs, drop=True, near=self._near.get(law), **vars(plain))
        self._near[law] = dict(first.fitted)
        yield Fitted(first)
        report(1, 3, "Predicting the largest runs from the others")
        tested, why = foreseen(replace(first, settings=settings), held_out)
        yield Fitted(first, tested, why)
        last = first
        if settings.bootstrap:
            report(2, 3, f"Drawing {settings.bootstrap} tables anew")
            last = fit(
                law, runs, drop=True, near=first.fitted,
                report=lambda done, total, note="", preview=None: report(
                    2 * total + done, 3 * total, "Drawing tables anew"
                ),
                **vars(settings),
            )  # fmt: skip
        found = Fitted(last, tested, why)
        self._kept[_key(law, settings, runs, held_out)] = found
        yield found


def foreseen(fit: Fit, held_out: float) -> tuple[pd.DataFrame | None, str]:
    """The runs above the largest compute over `held_out`, foreseen from the others; or why not.

    Compute is the column of the selection, in the convention in use.
    """
    from workbench.scaling.diagnostics import back_test
    from workbench.scaling.runs_table import RunsError

    if fit.law.target != "loss":
        return None, f"The test is of losses; {fit.law.title} predicts {fit.law.target}."
    if not {"n_params", "n_tokens"} <= set(fit.runs.columns):
        return None, "The table has no sizes and tokens to tell large runs by."
    try:
        compute = fit.runs[COMPUTE] if COMPUTE in fit.runs.columns else None
        found = back_test(fit, below=held_out, compute=compute)
    except RunsError as fault:
        return None, f"Without the largest runs too little is left: {fault.problems[0]}"
    return largest_first(found), ""


def largest_first(tested: pd.DataFrame) -> pd.DataFrame:
    """The largest budget's best run, then the others; budgets within a tenth are one."""
    import numpy as np

    size = np.log(tested[COMPUTE if COMPUTE in tested.columns else "compute"].to_numpy(float))
    near = (size >= size.max() - 0.1).astype(float)
    order = np.lexsort((tested["loss"].to_numpy(float), -near))
    return tested.iloc[order]


def best_of_budgets(runs: pd.DataFrame) -> pd.DataFrame:
    """The run of the least loss at each budget, which a law of compute alone is fitted to."""
    import pandas as pd

    from workbench.scaling.parabolas import budgets

    columns = ["n_params", "n_tokens", "loss"]
    values = runs[columns].apply(pd.to_numeric, errors="coerce").astype(float)
    good = values[(values > 0).all(axis=1)]
    if "budget" in runs.columns:
        good = good.assign(budget=runs["budget"])
    return runs.loc[[group["loss"].idxmin() for _, group in budgets(good)]]


def first_known(
    fits: Fits, law: Law, settings: Settings, runs: pd.DataFrame, held_out: float
) -> tuple[Fitted, recorded.Recorded | None] | None:
    """What is known without fitting: from here, or recorded with the package."""
    here = fits.known(law, settings, runs, held_out)
    if here is not None:
        return here, None
    shipped = recorded.known(law, settings, runs, held_out)
    if shipped is None or not _of_these(shipped, held(runs, held_out)):
        return None
    return Fitted(shipped.fit, shipped.tested, shipped.why), shipped


def held(runs: pd.DataFrame, held_out: float) -> frozenset[str]:
    """Labels of the runs that are held out, by compute in the convention in use."""
    if COMPUTE not in runs.columns:
        return frozenset()
    compute = runs[COMPUTE]
    return frozenset(map(str, runs.index[compute > compute.max() / held_out]))


def _of_these(shipped: recorded.Recorded, labels: frozenset[str]) -> bool:
    """Whether a recorded test is of the runs that are held out now."""
    return shipped.tested is None or frozenset(map(str, shipped.tested.index)) == labels


def _key(law: Law, settings: Settings, runs: pd.DataFrame, held_out: float) -> tuple[Any, ...]:
    return law, settings, recorded.rows_key(law, runs), held_out, held(runs, held_out)
