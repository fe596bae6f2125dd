"""The table of runs that a law is fitted to: what it must hold, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.scaling.laws.law import Law

LEAST_LOSS = 0.05
"""Nats a token. Less is no language model's loss; it may be an accuracy, or another unit."""

LOSSES = ("loss",)
SHOWN = 8
"""Rows named in a message."""


class RunsError(ValueError):
    """A table that no law can be fitted to as it is; `problems` holds each reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Problem:
    """Something wrong with a table.

    Attributes:
        what: in words: the column, the value, and what would be right.
        rows: labels of the rows concerned; none where it concerns the table.
        fatal: leaving the rows out is no remedy.
    """

    what: str
    rows: tuple[Any, ...] = ()
    fatal: bool = False

    def __str__(self) -> str:
        if not self.rows:
            return self.what
        shown = ", ".join(str(row) for row in self.rows[:SHOWN])
        more = f" and {len(self.rows) - SHOWN} more" if len(self.rows) > SHOWN else ""
        return f"row{'s' if len(self.rows) > 1 else ''} {shown}{more}: {self.what}"


def problems(law: Law, runs: pd.DataFrame, *, least_loss: float = LEAST_LOSS) -> list[Problem]:
    """Everything that keeps a law from being fitted to a table, or would bend the fit.

    Args:
        law: what it reads.
        runs: one row a run.
        least_loss: a smaller loss is in another unit, or of something else.
    """
    wanted = (*law.columns, law.target)
    found = row_problems(
        runs, wanted, needed_by=law.title, texts=law.texts, optional=("weight",),
        least_loss=least_loss,
    )  # fmt: skip
    if any(problem.fatal for problem in found):
        return found
    bad = {row for problem in found for row in problem.rows}
    counted = [column for column in wanted if column not in law.texts]
    good = pd.DataFrame({column: _numbers(runs[column]) for column in counted}, index=runs.index)
    return [*found, *_too_few(law, good.drop(index=list(bad)))]


def row_problems(
    runs: pd.DataFrame,
    wanted: Sequence[str],
    *,
    needed_by: str,
    texts: Sequence[str] = (),
    optional: Sequence[str] = (),
    least_loss: float = LEAST_LOSS,
) -> list[Problem]:
    """What is wrong with single rows, or that a column is missing.

    Args:
        runs: the table.
        wanted: columns that must be there; rows equal in all of them are one row, given twice.
        needed_by: what reads them, in words.
        texts: those of them that hold names.
        optional: further columns of numbers, looked at where they are there.
        least_loss: see `problems`.
    """
    missing = [column for column in wanted if column not in runs.columns]
    if missing:
        there = ", ".join(map(str, runs.columns)) or "none"
        return [
            Problem(
                f"column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: not in the table, "
                f"which {needed_by} needs; it has {there}",
                fatal=True,
            )
        ]
    found: list[Problem] = []
    more = [column for column in optional if column in runs.columns and column != "weight"]
    for column in (*wanted, *more):
        if column not in texts:
            found += _values(column, runs[column], _numbers(runs[column]), least_loss)
        elif (empty := runs[column].isna()).any():
            found.append(Problem(f"{column} is empty, not a name", tuple(runs.index[empty])))
    if "weight" in optional and "weight" in runs.columns:
        weights = _numbers(runs["weight"])
        if (bad := ~(np.isfinite(weights) & (weights >= 0))).any():
            found.append(_named("weight", runs["weight"], bad, "a number from 0"))
    return [*found, *_repeated(runs, tuple(wanted))]


def checked(
    law: Law, runs: pd.DataFrame, *, drop: bool = False, least_loss: float = LEAST_LOSS
) -> tuple[pd.DataFrame, list[Problem]]:
    """The rows that can be fitted, and what was wrong with the others.

    Args:
        law: what it reads.
        runs: one row a run.
        drop: leave faulty rows out, and say so in the second result, rather than raise.
        least_loss: see `problems`.

    Raises:
        RunsError: what is wrong, with the rows.
    """
    found = problems(law, runs, least_loss=least_loss)
    return _without(runs, found, drop), found


def checked_rows(
    runs: pd.DataFrame,
    wanted: Sequence[str],
    *,
    needed_by: str,
    texts: Sequence[str] = (),
    optional: Sequence[str] = (),
    drop: bool = False,
) -> tuple[pd.DataFrame, list[Problem]]:
    """As `checked`, for what reads some columns without a law; numbers come back as such.

    Args:
        runs, wanted, needed_by, texts, optional: as of `row_problems`.
        drop: as of `checked`.

    Raises:
        RunsError: what is wrong, with the rows.
    """
    if not runs.index.is_unique:
        runs = runs.reset_index(drop=True)
    found = row_problems(runs, wanted, needed_by=needed_by, texts=texts, optional=optional)
    kept = _without(runs, found, drop)
    counted = [name for name in (*wanted, *optional) if name in kept and name not in texts]
    return kept.assign(**{name: _numbers(kept[name]) for name in counted}), found


def _without(runs: pd.DataFrame, found: Sequence[Problem], drop: bool) -> pd.DataFrame:
    if any(problem.fatal for problem in found) or (found and not drop):
        raise RunsError(found)
    bad = {row for problem in found for row in problem.rows}
    return runs.drop(index=list(bad))


def _numbers(column: pd.Series) -> pd.Series:
    truth = column.map(lambda value: isinstance(value, bool | np.bool_))
    return pd.to_numeric(column.mask(truth), errors="coerce").astype(float)


def _values(
    name: str, given: pd.Series, numbers: pd.Series, least_loss: float
) -> Iterable[Problem]:
    text = numbers.isna() & given.notna()
    empty = given.isna()
    wrong = ~text & ~empty & ~(np.isfinite(numbers) & (numbers > 0))
    if text.any():
        yield _named(name, given, text, "a number")
    if empty.any():
        yield Problem(f"{name} is empty or NaN, not a number", tuple(given.index[empty]))
    if wrong.any():
        yield _named(name, given, wrong, "a finite number above 0")
    if name in LOSSES and (low := ~wrong & (numbers < least_loss)).any():
        yield _named(
            name,
            given,
            low,
            f"a loss in nats a token, of at least {least_loss:g}; is it another unit, or an error?",
        )


def _named(name: str, given: pd.Series, where: pd.Series, right: str) -> Problem:
    values = [repr(getattr(value, "item", lambda value=value: value)()) for value in given[where]]
    values = list(dict.fromkeys(values))[:3]
    return Problem(f"{name} is {' or '.join(values)}, not {right}", tuple(given.index[where]))


def _repeated(runs: pd.DataFrame, wanted: tuple[str, ...]) -> Iterable[Problem]:
    """Rows equal in all that is fitted; different seeds of one run differ in their loss."""
    apart = [name for name in ("seed", "method") if name in runs.columns]
    again = runs.duplicated([*wanted, *apart], keep="first")
    if again.any():
        yield Problem(
            f"the same {', '.join([*wanted, *apart])} as a row before; a run counts once",
            tuple(runs.index[again]),
        )


def _too_few(law: Law, good: pd.DataFrame) -> Iterable[Problem]:
    needed = len(law.parameters) + 1
    if len(good) < needed:
        yield Problem(
            f"{len(good)} runs that can be used, of which {law.title} with its "
            f"{len(law.parameters)} parameters needs at least {needed}",
            fatal=True,
        )
        return
    for column in law.varied:
        values = good[column].unique()
        if len(values) == 1:
            yield Problem(
                f"{column} is {values[0]:g} in every run; {law.title} needs at least two "
                "different ones",
                fatal=True,
            )
