"""Sweeps: one function over many settings, each point a kept run, on any executor.

from workbench.sweeps import sweep

study = sweep(train, {"learning_rate": [1e-3, 3e-3], "seed": range(3)}, study="rates")
study.table()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.sweeps.cooldowns import cooldown_points
    from workbench.sweeps.executing import ExecutorLost
    from workbench.sweeps.grid import points
    from workbench.sweeps.job import Job
    from workbench.sweeps.processes import Processes
    from workbench.sweeps.progressing import Progress
    from workbench.sweeps.study import Study, studies
    from workbench.sweeps.sweeping import sweep

_PLACES = {
    "ExecutorLost": "executing",
    "Job": "job",
    "Processes": "processes",
    "Progress": "progressing",
    "Study": "study",
    "cooldown_points": "cooldowns",
    "points": "grid",
    "studies": "study",
    "sweep": "sweeping",
}
__all__ = [
    "ExecutorLost",
    "Job",
    "Processes",
    "Progress",
    "Study",
    "cooldown_points",
    "points",
    "studies",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
