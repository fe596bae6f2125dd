"""Models of the test-time page, and stored trials: a user's, or simulated ones that say so."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.scaling.test_time import QWEN3

if TYPE_CHECKING:
    import pandas as pd

SLOTS = {"0.6B": 1, "8B": 0, "32B": 2, "Recurrent 8B": 3}

TRIALS, QUESTIONS, SEED = 32, 200, 0

EASE = {"0.6B": 0.35, "8B": 1.2, "32B": 1.8}
"""Of the Beta distribution that a question's chance is drawn from, against 1.5: ours, no model's
measured ability."""

LENGTHS = {"0.6B": 9000.0, "8B": 8000.0, "32B": 7000.0}
"""Tokens of an answer, in the simulated trials: ours as well."""


@functools.cache
def simulated() -> pd.DataFrame:
    """Stored trials of nobody's models: `model`, `question`, `correct` of 32, mean `tokens`."""
    import pandas as pd
    from scipy.stats import beta

    draw = np.random.default_rng(SEED)
    rank = draw.random(QUESTIONS)
    tables = []
    for name in QWEN3:
        chance = beta.ppf(rank, EASE[name], 1.5)
        tables.append(
            pd.DataFrame(
                {
                    "model": name,
                    "question": np.arange(QUESTIONS),
                    "correct": draw.binomial(TRIALS, chance),
                    "trials": TRIALS,
                    "tokens": LENGTHS[name],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def checked(table: Any) -> pd.DataFrame:
    """Stored trials of a user's: a row a question and model.

    Args:
        table: a data frame with `model` (a name of `QWEN3`), `question`, `correct` and `trials`
            (counts), `tokens` (mean length of an answer).

    Raises:
        ValueError: what is wrong, with the column.
    """
    missing = {"model", "question", "correct", "trials", "tokens"} - set(table.columns)
    if missing:
        there = ", ".join(map(str, table.columns))
        raise ValueError(f"columns {', '.join(sorted(missing))} are not in the trials: {there}")
    unknown = set(table["model"]) - set(QWEN3)
    if unknown:
        known = ", ".join(QWEN3)
        raise ValueError(f"model {', '.join(sorted(map(str, unknown)))}: not one of {known}")
    wrong = table[(table["correct"] < 0) | (table["correct"] > table["trials"])]
    if len(wrong):
        rows = ", ".join(map(str, wrong.index[:8]))
        raise ValueError(f"correct in rows {rows} is not a count from 0 to trials")
    if table.groupby("model")["trials"].nunique().max() > 1:
        raise ValueError("trials differs between the questions of one model")
    found: pd.DataFrame = table
    return found
