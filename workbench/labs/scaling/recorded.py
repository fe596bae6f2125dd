"""Fits that ship, so that a page has its first picture at once.

`python -m workbench.labs.scaling.record` writes them anew.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench import shipped
from workbench.labs.scaling.tables import FOLDER

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.laws.law import Law
    from workbench.scaling.result import Fit
    from workbench.scaling.settings import Settings

RECORDS = f"{FOLDER}/recorded"


@dataclass(frozen=True, eq=False)
class Recorded:
    """A fit that was made before, with its test.

    Attributes:
        fit: as it was.
        tested: the held-out runs, as of `fits.Fitted`.
        why: why there is no test.
        held_out: the largest compute over this was the test's edge.
        device, date: where and when.
    """

    fit: Fit
    tested: pd.DataFrame | None
    why: str
    held_out: float
    device: str
    date: str


def known(
    law: Law, settings: Settings, runs: pd.DataFrame, held_out: float
) -> Recorded | None:  # fmt: skip
    """The recorded fit of exactly this law, these settings and these rows; None without one."""
    for one in records():
        if (one.fit.law, one.fit.settings, one.held_out) == (law, settings, held_out) and (
            rows_key(law, one.fit.runs) == rows_key(law, runs)
        ):
            return one
    return None


@functools.cache
def records() -> Sequence[Recorded]:
    """Every fit that ships."""
    try:
        folder = shipped.path(RECORDS)
    except FileNotFoundError:
        return ()
    return [_read(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]


def rows_key(law: Law, runs: pd.DataFrame) -> str:
    """A hash of what a law reads of some rows, and of their labels."""
    from workbench.scaling.record import fingerprint, read_by

    kept = read_by(law, runs)
    return fingerprint(kept.assign(row=[str(label) for label in kept.index]))


def _read(text: str) -> Recorded:
    import pandas as pd

    from workbench.scaling.record import from_json

    content = json.loads(text)
    tested = content["tested"]
    return Recorded(
        from_json(content["fit"]),
        None if tested is None else pd.DataFrame(tested["columns"], index=tested["index"]),
        content["why"], content["held_out"], content["device"], content["date"],
    )  # fmt: skip
