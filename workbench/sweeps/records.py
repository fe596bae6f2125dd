"""What the files of a run say, as a study tells it."""

from __future__ import annotations

import time
from typing import Any

from workbench.runs import Run, Status
from workbench.runs.disk import read_json


def ended(status: Status, fence: int) -> bool:
    """Whether a run is done, or was given up after the sweep was called.

    Args:
        fence: of the run's last writer when it was called.
    """
    if status.state == "finished":
        return True
    return status.state in ("failed", "stopped") and status.fence > fence


def record_of(run: Run, fence: int, lost: str) -> dict[str, Any]:
    """State, result, seconds so far, share done, note, error and sessions of a run.

    Args:
        fence: of the run's last writer when the sweep was called.
        lost: why it is not tried again, where it is not.
    """
    status = run.status
    said = read_json(run.folder / "progress.json") or {}
    known = status.state == "running" or ended(status, fence)
    state = status.state if known else "waiting"
    if state == "waiting" and lost:
        state = "lost"
    seconds, share = status.seconds, 1.0 if state == "finished" else 0.0
    if state == "running" and said.get("fence") == status.fence:
        seconds += (time.time() - said["began"] - said["paused"]) / said["runs"]
        share = min(said["done"] / said["total"], 1.0) if said["total"] else 0.0
    return {
        "state": state,
        "result": {name: number(value) for name, value in status.result.items()},
        "seconds": seconds,
        "share": share,
        "note": "" if state == "finished" else said.get("note", ""),
        "error": lost if state == "lost" else status.error,
        "sessions": status.fence,
    }


def number(value: Any) -> Any:
    """A value of JSON, where numbers that it does not have are kept by their names."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
