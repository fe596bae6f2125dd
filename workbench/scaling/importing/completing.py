"""Columns that follow from others: N from its parts, D from steps, FLOPs from an architecture.

Each is made only where the table has no such column, and `told` says which are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from workbench.scaling.flops import ABOUT, Shape, per_token
from workbench.scaling.importing.quantities import count
from workbench.scaling.selecting import as_numbers

SHAPE = ("width", "depth", "heads", "inner", "vocabulary", "length")
"""Of a decoder with softmax attention; `gated` beside them for a feed-forward of three matrices."""

TRUE = ("1", "1.0", "true", "yes")


@dataclass(frozen=True)
class Rule:
    """A column that can be made.

    Attributes:
        target: its name.
        needs: columns it is made of.
        made: from a table of numbers.
        words: how.
    """

    target: str
    needs: tuple[str, ...]
    made: Callable[[pd.DataFrame], pd.Series]
    words: str


def completed(runs: pd.DataFrame) -> pd.DataFrame:
    """The table with all columns that follow from those it has.

    Args:
        runs: under this library's names.
    """
    for rule in _rules(runs.columns):
        parts = runs[[name for name in runs.columns if name in {*rule.needs, "gated"}]]
        runs = runs.assign(**{rule.target: rule.made(parts)})
    return runs


def told(columns: Iterable[str]) -> list[str]:
    """How the columns were made that follow from these, in words."""
    return list(dict.fromkeys(rule.words for rule in _rules(columns)))


def _rules(columns: Iterable[str]) -> list[Rule]:
    found, there = [], set(columns)
    for rule in RULES:
        if rule.target not in there and there.issuperset(rule.needs):
            there.add(rule.target)
            found.append(rule)
    return found


def _sum(first: str, second: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda parts: as_numbers(parts[first]) + as_numbers(parts[second])


def _product(first: str, second: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda parts: as_numbers(parts[first]) * as_numbers(parts[second])


def _of_shape(value: Callable[[Shape, int], float]) -> Callable[[pd.DataFrame], pd.Series]:
    """A value of each row's architecture; NaN where it is none."""

    def made(parts: pd.DataFrame) -> pd.Series:
        gated = parts["gated"] if "gated" in parts.columns else [""] * len(parts)
        rows = list(zip(*(parts[name] for name in SHAPE), gated, strict=True))
        known = {row: _valued(value, row) for row in dict.fromkeys(rows)}
        return pd.Series([known[row] for row in rows], parts.index, dtype=float)

    return made


def _valued(value: Callable[[Shape, int], float], row: tuple[object, ...]) -> float:
    sizes = [count(size) for size in row[:-1]]
    if not all(size >= 1 for size in sizes):  # NaN is not
        return float("nan")
    width, depth, heads, inner, vocabulary, length = (int(size) for size in sizes)
    gated = str(row[-1]).strip().lower() in TRUE
    return value(Shape(width, depth, heads, inner, vocabulary, gated=gated), length)


def _trained(name: str) -> Rule:
    each = _of_shape(lambda shape, length: per_token(shape, length)[name])
    return Rule(
        f"flops_{name}",
        (*SHAPE, "n_tokens"),
        lambda parts: each(parts) * as_numbers(parts["n_tokens"]),
        COUNTED,
    )


COUNTED = (
    "FLOPs by every convention, and N where no column has it, counted from the architecture: "
    "softmax attention, one table for embedding and head"
)

RULES = (
    Rule("n_tokens", ("step", "tokens_per_step"), _product("step", "tokens_per_step"),
         "D = steps × tokens a step"),
    Rule("n_params", ("n_non_embedding", "embedding"), _sum("n_non_embedding", "embedding"),
         "N = N without embedding + embedding"),
    Rule("n_params", ("n_non_embedding", "width", "vocabulary"),
         lambda parts: as_numbers(parts["n_non_embedding"])
         + as_numbers(parts["width"]) * as_numbers(parts["vocabulary"]),
         "N = N without embedding + width × vocabulary, one table for embedding and head"),
    Rule("n_params", SHAPE, _of_shape(lambda shape, _: float(shape.total)), COUNTED),
    Rule("n_non_embedding", SHAPE, _of_shape(lambda shape, _: float(shape.body)), COUNTED),
    *(_trained(name) for name in ABOUT),
)  # fmt: skip
"""In this order: what is made by one can serve the next."""
