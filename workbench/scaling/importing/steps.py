"""Logs with a row for each step: one run each, or all points with the run they belong to."""

from __future__ import annotations

import numpy as np
import pandas as pd

DECAYED = 0.2
"""A schedule has come to its end where the rate is below this share of its largest."""


def is_by_step(table: pd.DataFrame) -> bool:
    """Whether runs have more than one row: a `run` column whose values repeat with other tokens."""
    if "run" not in table.columns:
        return False
    axis = "n_tokens" if "n_tokens" in table.columns else "step"
    return axis in table.columns and bool(table.groupby("run")[axis].nunique().max() > 1)


def one_each(table: pd.DataFrame) -> pd.DataFrame:
    """The last point of each run, which is what a law is fitted to.

    `mid_schedule` says that the learning rate had not come down, so that a finished run of this
    length would have done better: such a point lies above the law. It is there where rates are.

    Args:
        table: `run`, `loss`, and `n_tokens` or `step`; `learning_rate` where it is known.
    """
    points = every_point(table)
    last = points.groupby("run", sort=False).tail(1)
    told = {"learning_rate", "mid_schedule"} & set(table.columns)
    gone = ["cluster"] if told else ["cluster", "mid_schedule"]
    return last.drop(columns=gone).reset_index(drop=True)


def every_point(table: pd.DataFrame) -> pd.DataFrame:
    """All points with a loss; `cluster` is their run, for they are not independent.

    `mid_schedule` says of which the learning rate had not come down; where no rate is known, every
    point but its run's last, unless the table has such a column.

    Args:
        table: as of `one_each`.

    Raises:
        ValueError: no column for runs, losses, or how far a run had come.
    """
    for name in ("run", "loss"):
        if name not in table.columns:
            raise ValueError(f"column {name} is not in the table of steps")
    axis = "n_tokens" if "n_tokens" in table.columns else "step"
    if axis not in table.columns:
        raise ValueError("neither n_tokens nor step is in the table of steps")
    kept = table[table["loss"].notna()].sort_values(["run", axis], kind="stable")
    found = kept.assign(cluster=kept["run"])
    if "learning_rate" in table.columns:
        rates = pd.to_numeric(table["learning_rate"], errors="coerce")
        largest = rates.groupby(table["run"]).max()
        filled = rates.groupby(table["run"]).ffill()
        share = filled.reindex(found.index) / found["run"].map(largest)
        found["mid_schedule"] = np.where(share.notna(), share > DECAYED, _on_the_way(found))
    elif "mid_schedule" not in table.columns:
        found["mid_schedule"] = _on_the_way(found)
    return found.reset_index(drop=True)


def assumed(points: pd.DataFrame) -> str:
    """What is taken for granted of points whose learning rates are not known; empty where nothing.

    Args:
        points: of `every_point`.
    """
    runs, number = points["run"], points["run"].nunique()
    if "learning_rate" in points.columns:
        known = runs[pd.to_numeric(points["learning_rate"], errors="coerce").notna()]
        points = points[~runs.isin(known)]
    way = _on_the_way(points)
    if not way.any() or not points["mid_schedule"].eq(way).all():
        return ""
    without = points["run"].nunique()
    whose = "" if without == number else f" for {without} of {number} runs"
    return f"no learning rate{whose}: all but a run’s last point count as mid-schedule"


def _on_the_way(points: pd.DataFrame) -> pd.Series:
    """Which points of a table in their order come before the last of their run."""
    return points["run"].duplicated(keep="last")
