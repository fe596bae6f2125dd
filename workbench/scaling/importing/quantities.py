"""Numbers as people write them: 70M, 1.4T tokens, 2,048, 1e9; and losses in other units."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np
import pandas as pd

LossUnit = Literal["nats", "bits", "perplexity"]

SCALES = {
    "": 1.0,
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "mm": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "g": 1e9,
    "billion": 1e9,
    "billions": 1e9,
    "t": 1e12,
    "trillion": 1e12,
    "trillions": 1e12,
    "p": 1e15,
}
"""What a suffix of a number multiplies it by."""

NUMBER = re.compile(
    r"^\s*([-+]?[\d,_]*\.?\d+(?:e[-+]?\d+)?)\s*([a-z]*)\s*(?:tokens?|params?|parameters|flops?)?\s*$",
    re.IGNORECASE,
)


def count(value: Any) -> float:
    """A number of things, NaN where it is none: `70M` is 7e7, `1.4 trillion` 1.4e12."""
    if isinstance(value, bool) or value is None:
        return math.nan
    if isinstance(value, int | float | np.number):
        return float(value)
    found = NUMBER.match(str(value))
    if not found or found[2].lower() not in SCALES:
        return math.nan
    return float(re.sub("[,_]", "", found[1])) * SCALES[found[2].lower()]


def counts(column: pd.Series, scale: float = 1.0) -> pd.Series:
    """A column of numbers; those without a suffix are in units of `scale`.

    What is no number stays as it is, for whoever checks the table to name.
    """

    def one(value: Any) -> Any:
        number = count(value)
        if math.isnan(number):
            return value
        plain = not isinstance(value, str) or value.strip()[-1:].isdigit()
        return number * scale if plain else number

    return column.map(one)


def nats(column: pd.Series, unit: LossUnit) -> pd.Series:
    """Losses in nats: bits times ln 2, the logarithm of a perplexity.

    Raises:
        ValueError: a unit that is not known.
    """

    def one(value: Any) -> Any:
        number = count(value)
        if math.isnan(number) or unit == "nats":
            return value if math.isnan(number) else number
        if unit == "bits":
            return number * math.log(2)
        return math.log(number) if number > 0 else value

    if unit not in ("nats", "bits", "perplexity"):
        raise ValueError(f"unit is {unit!r}, not 'nats', 'bits' or 'perplexity'")
    return column.map(one)
