"""Magnitude pruning: N of M inputs, blocks, single weights; gradually, and what it is worth.

Each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.vision.pruning.gradual import GradualPruning, pruning_optimizer
    from workbench.vision.pruning.judging import accuracies, accuracies_when_trained
    from workbench.vision.pruning.layers import prunable
    from workbench.vision.pruning.masking import density, kernels, masked, masks, pruned
    from workbench.vision.pruning.modelling import ModelledSpeed, modelled
    from workbench.vision.pruning.packing import packed
    from workbench.vision.pruning.retraining import PruningTask, pruning_recipe
    from workbench.vision.pruning.schedule import CubicSchedule
    from workbench.vision.pruning.structures import Blocks, NOfM, Structure, Unstructured
    from workbench.vision.pruning.timing import time_densities

_PLACES = {
    "Blocks": "structures",
    "CubicSchedule": "schedule",
    "GradualPruning": "gradual",
    "ModelledSpeed": "modelling",
    "NOfM": "structures",
    "PruningTask": "retraining",
    "Structure": "structures",
    "Unstructured": "structures",
    "accuracies": "judging",
    "accuracies_when_trained": "judging",
    "density": "masking",
    "kernels": "masking",
    "masked": "masking",
    "masks": "masking",
    "modelled": "modelling",
    "packed": "packing",
    "prunable": "layers",
    "pruned": "masking",
    "pruning_optimizer": "gradual",
    "pruning_recipe": "retraining",
    "time_densities": "timing",
}

__all__ = [
    "Blocks",
    "CubicSchedule",
    "GradualPruning",
    "ModelledSpeed",
    "NOfM",
    "PruningTask",
    "Structure",
    "Unstructured",
    "accuracies",
    "accuracies_when_trained",
    "density",
    "kernels",
    "masked",
    "masks",
    "modelled",
    "packed",
    "prunable",
    "pruned",
    "pruning_optimizer",
    "pruning_recipe",
    "time_densities",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
