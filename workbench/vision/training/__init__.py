"""Convnets trained on pictures with classes: task, moved pictures, statistics, judging, recipes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.vision.training.augmentation import Augmentation
    from workbench.vision.training.judging import Judged, judged
    from workbench.vision.training.plan import Plan
    from workbench.vision.training.shelf import Checkpoint, checkpoints
    from workbench.vision.training.task import ClassificationTask, table_for

_PLACES = {
    "Augmentation": "augmentation",
    "Checkpoint": "shelf",
    "ClassificationTask": "task",
    "Judged": "judging",
    "Plan": "plan",
    "checkpoints": "shelf",
    "judged": "judging",
    "table_for": "task",
}
__all__ = [
    "Augmentation",
    "Checkpoint",
    "ClassificationTask",
    "Judged",
    "Plan",
    "checkpoints",
    "judged",
    "table_for",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
