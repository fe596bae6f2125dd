"""Tables that are brought, a file, a data frame or a study of the store, and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.labs.scaling.tables import Table

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.importing import Choice
    from workbench.sweeps import Study

SIMULATED = "simulated"
"""Column that is true of rows that nobody trained."""

LAST, ALL = "last", "all"
"""Points of a log by step: the last of each run, or all."""

AS_NAMED = {"n_params", "n_tokens", "loss"}
"""A data frame with these columns is taken as it stands."""


@dataclass(frozen=True, eq=False)
class Source:
    """What is brought, as it was read.

    Attributes:
        title: on the screen.
        note: where it comes from.
        raw: its rows under their own names.
        study: whose finished runs they are.
        known: whether its columns bear this library's names.
    """

    title: str
    note: str
    raw: pd.DataFrame
    study: Study | None = None
    known: bool = False


def source_of(given: Any) -> Source:
    """A path, a data frame, or a study.

    Raises:
        LogError: a file that cannot be read, or a study without a finished run.
        TypeError: something else.
    """
    from workbench.scaling.importing import finished, read
    from workbench.sweeps import Study

    if isinstance(given, str | Path):
        raw = read(given)
        return Source(Path(given).name, f"{len(raw)} rows", raw)
    if isinstance(given, Study):
        raw = finished(given)
        note = f"{len(raw)} finished of {len(given.plan)} runs of a sweep"
        return Source(f"Sweep {given.name}", note, raw, given)
    if hasattr(given, "columns"):
        known = set(given.columns) >= AS_NAMED
        return Source("Your table", f"{len(given)} rows of a data frame", given, known=known)
    raise TypeError(f"table is {type(given).__name__}, not a path, a data frame or a study")


def mapped(source: Source, corrections: Sequence[Choice] = (), points: str = LAST) -> Table:
    """The table of a source, its columns as remembered or proposed, and as put right.

    Args:
        source: what was read.
        corrections: choices that replace the proposed ones of their target.
        points: of a log by step, the `last` of each run or `all` of them as a cluster each.

    Raises:
        ValueError: a column that is not there.
    """
    from workbench.scaling.importing import (
        applied,
        assumed,
        completions,
        every_point,
        is_by_step,
        logged,
        one_each,
    )
    from workbench.scaling.selecting import is_true

    as_it_stands = source.known and not corrections
    choices = [] if as_it_stands else chosen(source.raw, corrections)
    runs = source.raw if as_it_stands else applied(source.raw, choices)
    about, curves, taken = [source.note, *completions(choices)], None, ""
    if source.study is not None:
        curves = logged(source.study, runs)
    elif is_by_step(runs):
        curves, last = every_point(runs), one_each(runs)
        shown = "all points" if points == ALL else "the last"
        about[0] = f"{source.note}, {shown} of {len(last)} runs"
        runs = curves if points == ALL else last
        taken = assumed(curves) if points == ALL else ""
        about += [taken] if taken else []
    raw = None if as_it_stands else source.raw
    made_up = SIMULATED in runs.columns and runs[SIMULATED].map(is_true).any()
    about = [f"Simulated: {source.title}", *about] if made_up else about
    return Table(
        source.title, "; ".join(about), runs, raw, choices, not made_up, curves, assumed=taken
    )


def chosen(raw: pd.DataFrame, corrections: Sequence[Choice] = ()) -> list[Choice]:
    """Which column is what: as remembered or proposed, and as put right."""
    from workbench.scaling.importing import propose, recall

    choices = recall(raw) or propose(raw)
    own = {one.target for one in corrections}
    return [*(one for one in choices if one.target not in own), *corrections]
