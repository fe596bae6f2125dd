"""Tables and logs of others, brought to one form: read, proposed, put right, remembered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from workbench.scaling.importing.logs import LogError, read
from workbench.scaling.importing.memory import recall, remember
from workbench.scaling.importing.proposal import (
    Choice,
    applied,
    completions,
    propose,
    put_by_hand,
    put_right,
)
from workbench.scaling.importing.steps import assumed, every_point, is_by_step, one_each
from workbench.scaling.importing.studies import finished, logged

if TYPE_CHECKING:
    from workbench.sweeps import Study

__all__ = [
    "Choice",
    "LogError",
    "applied",
    "as_runs",
    "assumed",
    "bring",
    "completions",
    "every_point",
    "finished",
    "is_by_step",
    "logged",
    "one_each",
    "propose",
    "put_by_hand",
    "put_right",
    "read",
    "recall",
    "remember",
]


def bring(
    source: str | Path | Study, choices: list[Choice] | None = None, *, points: str = "last"
) -> tuple[pd.DataFrame, list[Choice]]:
    """A table of runs from any file that is understood, or a sweep; and what was taken for what.

    Args:
        source: path of a table, a log, or a folder of logs; or a study.
        choices: of columns; those remembered for this header, or proposed, where left out.
        points: of a log by step, or of a sweep's: the `last` of each run, or `all` with the run as
            `cluster`.

    Raises:
        LogError: nothing that can be read.
        ValueError: a chosen column that is not there, a word for points that means nothing, or all
            points of a sweep that logged no loss.
    """
    table = read(source) if isinstance(source, str | Path) else finished(source)
    chosen = choices or recall(table) or propose(table)
    study = None if isinstance(source, str | Path) else source
    return as_runs(table, chosen, points=points, study=study), chosen


def as_runs(
    table: pd.DataFrame, choices: list[Choice], *, points: str = "last", study: Study | None = None
) -> pd.DataFrame:
    """A table as it was read, as a table of runs.

    Args:
        table: of a file, or the finished runs of a study.
        choices: which column is what.
        points: as of `bring`.
        study: whose finished runs they are.

    Raises:
        ValueError: as of `bring`.
    """
    if points not in ("last", "all"):
        raise ValueError(f"points is {points!r}, not 'last' or 'all'")
    runs = applied(table, choices)
    if study is None and is_by_step(runs):
        return one_each(runs) if points == "last" else every_point(runs)
    if study is None or points == "last":
        return runs
    steps = logged(study, runs)
    if steps is None:
        raise ValueError(f"points is 'all', and study {study.name!r} logged no loss by tokens")
    return steps
