"""The one hand that writes into a run."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from workbench.runs.disk import append_line, read_json, read_lines, remove_leftovers, write_json
from workbench.runs.disk import write as write_bytes
from workbench.runs.lease import Lease
from workbench.runs.provenance import provenance

if TYPE_CHECKING:
    from workbench.runs.run import Run


class AlreadyFinished(RuntimeError):
    """The run is done; read it instead of writing it."""


class Writer:
    """Writes rows, progress and the result of a run, as long as it holds the lease.

    Every method raises `LeaseLost` once another writer has taken the run over.
    """

    def __init__(self, run: Run, lease: Lease) -> None:
        self.run = run
        self.lease = lease
        self._status: dict[str, Any] = {}

    @property
    def fence(self) -> int:
        """Number of this writer among all that ever wrote the run."""
        return self.lease.fence

    def held(self) -> AbstractContextManager[None]:
        """The context in which anything else in the run's folder may be changed, for a moment."""
        return self.lease.held()

    def begin(self) -> None:
        """Says what the run is and that it runs; clears away what killed writers left half done."""
        run = self.run
        here = provenance()
        with self.held():
            remove_leftovers(run.folder)
            run.check_same()
            if run.identity is not None and read_json(run.folder / "config.json") is None:
                record = {"hash": run.identity.hash, **run.identity.canonical}
                record["settings"] = run.settings()
                write_json(run.folder / "config.json", record)
            sessions = (read_json(run.folder / "provenance.json") or {}).get("sessions", [])
            sessions = [*sessions, {"fence": self.fence, **here}]
            write_json(run.folder / "provenance.json", {"sessions": sessions})
            known = read_json(run.folder / "status.json") or {}
            self._status = {"step": 0, "seconds": 0.0, "created": time.time(), **known}
            self._put(state="running", error="", result=None)

    def log(self, *, step: int, **metrics: Any) -> None:
        """Adds a row of numbers to `metrics.jsonl`."""
        with self.held():
            append_line(self.run.folder / "metrics.jsonl", {"step": step, **metrics})

    def rewind(self, step: int) -> None:
        """Drops the rows after `step`, which a run resumed from there writes again."""
        path = self.run.folder / "metrics.jsonl"
        with self.held():
            rows = read_lines(path)
            kept = [row for row in rows if row.get("step", 0) <= step]
            if len(kept) < len(rows):
                _rewrite(path, kept)

    def progress(self, *, step: int, seconds: float | None = None) -> None:
        """Notes how far the run is, and how long it took so far."""
        changes: dict[str, Any] = {"step": step}
        if seconds is not None:
            changes["seconds"] = seconds
        with self.held():
            self._put(**changes)

    def finish(self, result: dict[str, Any] | None = None) -> None:
        """Marks the run done, with the numbers it came to. One indivisible write."""
        with self.held():
            self._put(state="finished", result=result or {}, finished=time.time())

    def leave(self, state: str, error: str = "") -> None:
        """Marks the run as not done, to be resumed by whoever asks for it next."""
        with self.held():
            self._put(state=state, error=error)

    @property
    def finished(self) -> bool:
        """Whether `finish` was called."""
        return self._status.get("state") == "finished"

    def _put(self, **changes: Any) -> None:
        status = {**self._status, **changes, "fence": self.fence, "updated": time.time()}
        write_json(self.run.folder / "status.json", status)
        self._status = status


def _rewrite(path: Any, rows: list[dict[str, Any]]) -> None:
    import json

    from workbench.runs.disk import strict

    write_bytes(path, "".join(json.dumps(strict(row)) + "\n" for row in rows).encode())
