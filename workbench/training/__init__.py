"""Training: one loop for every field, exact to resume, kept in a run folder where one is given."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.training.checkpoint import Checkpoints
    from workbench.training.loop import NotANumber, Result, train
    from workbench.training.mesh import data_mesh, sharded_mesh
    from workbench.training.recipe import Recipe
    from workbench.training.schedules import adamw, learning_rate
    from workbench.training.task import FunctionTask, Task

_PLACES = {
    "Checkpoints": "checkpoint",
    "FunctionTask": "task",
    "NotANumber": "loop",
    "Recipe": "recipe",
    "Result": "loop",
    "Task": "task",
    "adamw": "schedules",
    "data_mesh": "mesh",
    "learning_rate": "schedules",
    "sharded_mesh": "mesh",
    "train": "loop",
}
__all__ = [
    "Checkpoints",
    "FunctionTask",
    "NotANumber",
    "Recipe",
    "Result",
    "Task",
    "adamw",
    "data_mesh",
    "learning_rate",
    "sharded_mesh",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
