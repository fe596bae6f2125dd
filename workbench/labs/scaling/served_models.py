"""Models of the test-time page, and stored trials: a user's, or simulated ones that say so."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.scaling.test_time import QWEN3, Served

if TYPE_CHECKING:
    import pandas as pd

SLOTS = {"0.6B": 1, "8B": 0, "32B": 2}
OWN_SLOTS = (5, 6, 7, 8, 9)

DENSE, SPARSE, STATE = "dense", "sparse", "state"
ATTENTIONS = {DENSE: "Dense", SPARSE: "Sparse", STATE: "Constant state"}
ATTENTION_SLOTS = {"Dense": 0, "Sparse": 4, "Constant state": 3}

TRIALS, QUESTIONS, SEED = 32, 200, 0

EASE = {"0.6B": 0.35, "8B": 1.2, "32B": 1.8}
"""Of the Beta distribution that a question's chance is drawn from, against 1.5: ours, no model's
measured ability."""

LENGTHS = {"0.6B": 5000.0, "8B": 4500.0, "32B": 4000.0}
"""Median tokens of an answer, in the simulated trials: ours as well."""

HARDER = 1.2
"""ln of an answer's length from the easiest question to the hardest, over its median: ours."""


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
                    "tokens": np.round(LENGTHS[name] * np.exp(HARDER * (0.5 - rank))),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def served(models: Mapping[str, Served | Mapping[str, float]] | None = None) -> dict[str, Served]:
    """Qwen3's, and those of a user's.

    Args:
        models: by name: `Served`, or numbers under `n_params`, `layers`, `kv_heads`, `head_dim`,
            and `heads` of queries, where they are more than those of keys.

    Raises:
        ValueError: what is missing or wrong, with the model's name.
    """
    return {**QWEN3, **{name: _served(name, model) for name, model in (models or {}).items()}}


def _served(name: str, model: Served | Mapping[str, float]) -> Served:
    if isinstance(model, Served):
        return model
    needed = ("n_params", "layers", "kv_heads", "head_dim")
    missing = [key for key in needed if key not in model]
    unknown = sorted(set(model) - {*needed, "heads"})
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}"
        raise ValueError(f"model {name!r} {what}; it needs {', '.join(needed)}, and may have heads")
    for key, value in model.items():
        if not value > 0:
            raise ValueError(f"model {name!r} has {key} {value!r}, not a number above 0")
    groups = int(model["kv_heads"])
    heads = int(model.get("heads", groups))
    if heads < groups:
        raise ValueError(f"model {name!r} has {heads} heads, fewer than its {groups} of keys")
    return Served(float(model["n_params"]), int(model["layers"]), heads, groups,
                  int(model["head_dim"]))  # fmt: skip


def recurrent(model: Served, width: int) -> Served:
    """A model with a square state of this width in each head, in place of keys and values."""
    return replace(model, kv_heads=0, state=float(model.layers * model.heads * width**2))


def checked(table: Any, models: Mapping[str, Served] = QWEN3) -> pd.DataFrame:
    """Stored trials of a user's: a row a question and model.

    Args:
        table: a data frame with `model` (a name of `models`), `question`, `correct` and `trials`
            (counts), `tokens` (mean length of an answer), and if wished `attention` (dense, sparse
            or state), whose trials they are.
        models: that are known.

    Raises:
        ValueError: what is wrong, with the column.
    """
    missing = {"model", "question", "correct", "trials", "tokens"} - set(table.columns)
    if missing:
        there = ", ".join(map(str, table.columns))
        raise ValueError(f"columns {', '.join(sorted(missing))} are not in the trials: {there}")
    unknown = set(table["model"]) - set(models)
    if unknown:
        raise ValueError(
            f"model {', '.join(sorted(map(str, unknown)))}: not one of {', '.join(models)}; give "
            "its shape as models={name: {...}}"
        )
    if "attention" in table.columns and (odd := set(table["attention"]) - set(ATTENTIONS)):
        named = ", ".join(sorted(map(str, odd)))
        raise ValueError(f"attention {named}: not one of {', '.join(ATTENTIONS)}")
    wrong = table[(table["correct"] < 0) | (table["correct"] > table["trials"])]
    if len(wrong):
        rows = ", ".join(map(str, wrong.index[:8]))
        raise ValueError(f"correct in rows {rows} is not a count from 0 to trials")
    by = ["model", *(["attention"] if "attention" in table.columns else [])]
    if table.groupby(by)["trials"].nunique().max() > 1:
        raise ValueError("trials differs between the questions of one model")
    found: pd.DataFrame = table
    return found
