"""Numbers that no column has, given by hand: one for all rows, or one for each run."""

from __future__ import annotations

import math
import re

import pandas as pd

from workbench.scaling.importing.quantities import count


def are_values(words: str) -> bool:
    """Whether words are a number, or `run = number` pairs with semicolons or lines between."""
    return not math.isnan(count(words)) or "=" in words


def of_each(target: str, words: str, index: pd.Index, runs: pd.Series | None) -> pd.Series:
    """The number of each row, as it was written.

    Args:
        target: what it is of, for a message.
        words: `70M` for all, or `small = 70M; large = 1.3B` by run.
        index: of the rows.
        runs: which run each is of; None where no column says so.

    Raises:
        ValueError: no number, a run that is not there, or one without a number.
    """
    if "=" not in words:
        return pd.Series([words.strip()] * len(index), index, dtype=object)
    if runs is None:
        raise ValueError(f"{target}: numbers by run are given, and no column says which run it is")
    pairs = _pairs(target, words)
    there = dict.fromkeys(map(str, runs))
    for name in pairs:
        if name not in there:
            raise ValueError(f"{target}: no run {name!r}; there are {', '.join(there)}")
    if missing := [name for name in there if name not in pairs]:
        raise ValueError(f"{target}: no number for run {missing[0]!r}; give one for each run")
    return runs.map(lambda run: pairs[str(run)])


def _pairs(target: str, words: str) -> dict[str, str]:
    found = {}
    for part in re.split(r"[;\n]", words):
        if not part.strip():
            continue
        name, _, number = part.rpartition("=")
        if not name.strip() or math.isnan(count(number)):
            raise ValueError(f"{target}: {part.strip()!r} is not 'run = number'")
        found[name.strip()] = number.strip()
    return found
