"""Who drives a study: one process, by lease; jobs of one that is gone end themselves."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from workbench.runs.disk import read_json
from workbench.runs.lease import Lease, age, alive, started

SECONDS = 60.0
"""Silence after which the driver of a study counts as gone, where its process cannot be seen."""


def ownership(folder: Path) -> Lease:
    """The lease on a study's folder, to be taken by the process that drives it."""
    return Lease(folder, SECONDS)


def drives(folder: Path, token: str) -> bool:
    """Whether the process that took the lease with this token still drives the study.

    On its own machine the process itself is looked for, so that a machine that slept does not end
    its jobs; elsewhere its heartbeat decides.
    """
    holder = read_json(folder / "lease.json")
    if not holder or holder.get("token") != token:
        return False
    if _given_back(folder):
        return False
    if holder["host"] == socket.gethostname():
        begun = started(holder["pid"])
        return begun is not None and holder["started"] in (None, begun)
    return alive(holder, _silence(folder), SECONDS)


def is_driven(folder: Path) -> bool:
    """Whether any process drives the study now."""
    holder: Any = read_json(folder / "lease.json")
    return bool(holder) and drives(folder, holder.get("token", ""))


def _given_back(folder: Path) -> bool:
    try:
        return (folder / "lease.json").stat().st_mtime == 0
    except OSError:
        return False


def _silence(folder: Path) -> float:
    return age(folder / "lease.json", folder / "lock")
