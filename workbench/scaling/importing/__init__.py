"""Tables and logs of others, brought to one form: read, proposed, put right, remembered."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workbench.scaling.importing.logs import LogError, read
from workbench.scaling.importing.memory import recall, remember
from workbench.scaling.importing.proposal import Choice, applied, propose, put_right
from workbench.scaling.importing.steps import every_point, is_by_step, one_each

__all__ = [
    "Choice",
    "LogError",
    "applied",
    "bring",
    "every_point",
    "is_by_step",
    "one_each",
    "propose",
    "put_right",
    "read",
    "recall",
    "remember",
]


def bring(
    path: str | Path, choices: list[Choice] | None = None, *, points: str = "last"
) -> tuple[pd.DataFrame, list[Choice]]:
    """A table of runs from any file that is understood, and what was taken for what.

    Args:
        path: of a table, a log, or a folder of logs.
        choices: of columns; those remembered for this header, or proposed, where left out.
        points: of a log by step: the `last` of each run, or `all` with the run as `cluster`.

    Raises:
        LogError: nothing that can be read.
        ValueError: a chosen column that is not there, or a word for points that means nothing.
    """
    if points not in ("last", "all"):
        raise ValueError(f"points is {points!r}, not 'last' or 'all'")
    table = read(path)
    chosen = choices or recall(table) or propose(table)
    runs = applied(table, chosen)
    if is_by_step(runs):
        runs = one_each(runs) if points == "last" else every_point(runs)
    return runs, chosen
