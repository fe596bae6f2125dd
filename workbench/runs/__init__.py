"""Runs: what was computed, kept in plain folders that survive any kill, and found by what it is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.runs.disk import StoreFull
    from workbench.runs.identity import Identity, digest, fingerprint
    from workbench.runs.lease import Busy, LeaseLost
    from workbench.runs.results import Results
    from workbench.runs.run import Run, Status
    from workbench.runs.store import Store
    from workbench.runs.worker import end_with_parent
    from workbench.runs.writer import AlreadyFinished, Writer

_PLACES = {
    "AlreadyFinished": "writer",
    "Busy": "lease",
    "Identity": "identity",
    "LeaseLost": "lease",
    "Results": "results",
    "Run": "run",
    "Status": "run",
    "Store": "store",
    "StoreFull": "disk",
    "Writer": "writer",
    "digest": "identity",
    "end_with_parent": "worker",
    "fingerprint": "identity",
}
__all__ = [
    "AlreadyFinished",
    "Busy",
    "Identity",
    "LeaseLost",
    "Results",
    "Run",
    "Status",
    "Store",
    "StoreFull",
    "Writer",
    "digest",
    "end_with_parent",
    "fingerprint",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
