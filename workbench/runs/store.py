"""The store: all runs, results and timings of a user, in one folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.home import data
from workbench.runs.disk import append_line, read_lines, room_for
from workbench.runs.identity import Identity
from workbench.runs.index import Index
from workbench.runs.mutex import mutex
from workbench.runs.results import Results
from workbench.runs.run import Run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Store:
    """A folder with `runs/<id>/`, `results/`, `timings.jsonl` and the index of the runs.

    Any number of processes may use one store at once, and be killed at any moment.

    Args:
        folder: the store; `workbench.home.data()` where left out. Made when first written.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        chosen = data() if folder is None else Path(folder).expanduser()
        self.folder = chosen.absolute()
        self.results = Results(self.folder / "results")

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def run(self, identity: Identity) -> Run:
        """The run of this identity, begun or not. Writes nothing."""
        return Run(self.folder / "runs" / identity.id, identity)

    def runs(self) -> list[Run]:
        """All runs there are, oldest first."""
        return [Run(self.folder / "runs" / record["id"]) for record in self._records()]

    def table(self) -> pd.DataFrame:
        """One row a run: id, state, step, seconds, `config.*`, `result.*`, device, date, commit."""
        import pandas as pd

        return pd.DataFrame(self._records()).drop(columns="created", errors="ignore")

    def remember(self, key: str, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Keeps a result under its key; see `Results.remember`."""
        self.results.remember(key, arrays, record)

    def recall(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The result kept under a key, or None; see `Results.recall`."""
        return self.results.recall(key)

    def add_timing(self, **record: Any) -> None:
        """Appends one measurement. Timings are never merged: each is an event of its day."""
        self._make()
        with mutex(self.folder / "lock"):
            append_line(self.folder / "timings.jsonl", {"time": time.time(), **record}, sync=True)

    def timings(self) -> pd.DataFrame:
        """All measurements ever appended, oldest first."""
        import pandas as pd

        return pd.DataFrame(read_lines(self.folder / "timings.jsonl"))

    def _records(self) -> list[dict[str, Any]]:
        if not (self.folder / "runs").is_dir():
            return []
        return Index(self.folder / "index.sqlite", self.folder / "runs").records()

    def _make(self) -> None:
        with room_for(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
