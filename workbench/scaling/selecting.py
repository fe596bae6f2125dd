"""Which rows of a table a law is fitted to, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

EPOCHS = 4.0
"""Up to so many a repeated token is worth nearly a new one (Muennighoff et al. 2023)."""

BODY = "n_non_embedding"


@dataclass(frozen=True)
class Filter:
    """Rows that are left out.

    Attributes:
        ratio: runs of fewer tokens a parameter.
        epochs: runs that saw their data more often, where the table has `unique_tokens`.
        highest: so many runs of the highest losses.
        finished: points read while the learning rate was high, where `mid_schedule` says so.
        left_out: labels of rows, as text.
    """

    ratio: float = 0.0
    epochs: float = EPOCHS
    highest: int = 0
    finished: bool = True
    left_out: frozenset[str] = frozenset()


def kept(runs: pd.DataFrame, filters: Filter) -> tuple[pd.DataFrame, list[str]]:
    """The rows that are left, and what was left out, in words."""
    words = []
    for rows, why in _filtered(runs, filters):
        if len(rows):
            runs = runs.drop(index=rows)
            words.append(f"{len(rows)} {why}")
    return runs, words


def methods_of(runs: pd.DataFrame) -> tuple[str, ...]:
    """In the order of their rows; none where the table names none."""
    if "method" not in runs.columns:
        return ()
    return tuple(str(name) for name in runs["method"].dropna().unique())


def of_methods(runs: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Rows of these methods; all of a table that names none.

    Raises:
        ValueError: a method that the table does not have.
    """
    there = methods_of(runs)
    for name in methods:
        if name not in there:
            raise ValueError(f"Method {name!r} is none of {', '.join(there) or 'the table'}")
    return runs[runs["method"].astype(str).isin(methods)] if there else runs


def counts_body(runs: pd.DataFrame) -> bool:
    """Whether the only number of parameters is that without the embedding."""
    return "n_params" not in runs.columns and BODY in runs.columns


def body_as_size(runs: pd.DataFrame) -> pd.DataFrame:
    """N without the embedding as the size that a law reads.

    Raises:
        ValueError: the table has no such column.
    """
    if BODY not in runs.columns:
        there = ", ".join(map(str, runs.columns))
        raise ValueError(f"N without the embedding needs column {BODY}; there are {there}")
    return runs.assign(n_params=runs[BODY])


def _filtered(runs: pd.DataFrame, filters: Filter) -> list[tuple[list[Any], str]]:
    """Labels of rows to leave out, and why; each filter sees what all rows are."""
    found: list[tuple[list[Any], str]] = []
    gone: set[Any] = set()

    def leave(labels: Any, why: str) -> None:
        new = [label for label in labels if label not in gone]
        gone.update(new)
        found.append((new, why))

    if filters.finished and "mid_schedule" in runs.columns:
        leave(runs.index[runs["mid_schedule"].map(is_true)], "mid-schedule")
    if filters.ratio > 0 and {"n_params", "n_tokens"} <= set(runs.columns):
        each = as_numbers(runs["n_tokens"]) / as_numbers(runs["n_params"])
        leave(runs.index[each < filters.ratio], f"below {filters.ratio:g} tokens a parameter")
    if {"n_tokens", "unique_tokens"} <= set(runs.columns):
        seen = as_numbers(runs["n_tokens"]) / as_numbers(runs["unique_tokens"])
        leave(runs.index[seen > filters.epochs * (1 + 1e-9)], f"above {filters.epochs:g} epochs")
    leave([label for label in runs.index if str(label) in filters.left_out], "left out by hand")
    if filters.highest and "loss" in runs.columns:
        losses = as_numbers(runs["loss"]).drop(index=list(gone))
        leave(losses.nlargest(filters.highest).index, "of the highest losses")
    return found


def is_true(value: Any) -> bool:
    """Whether a flag is set; a file may give it as a word, and none is none."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes")
    return bool(value) and not pd.isna(value)


def as_numbers(column: pd.Series) -> pd.Series:
    """The numbers of a column; NaN for what is none."""
    return pd.to_numeric(column, errors="coerce").astype(float)
