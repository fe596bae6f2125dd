"""Magnitude pruning: N of M inputs, blocks, single weights; gradually, and what it is worth."""

from workbench.vision.pruning.layers import prunable
from workbench.vision.pruning.masking import GradualPruning, density, kernels, masked, masks, pruned
from workbench.vision.pruning.modelled import ModelledSpeed, modelled
from workbench.vision.pruning.packed import packed
from workbench.vision.pruning.schedule import CubicSchedule
from workbench.vision.pruning.structures import Blocks, NOfM, Structure, Unstructured

__all__ = [
    "Blocks",
    "CubicSchedule",
    "GradualPruning",
    "ModelledSpeed",
    "NOfM",
    "Structure",
    "Unstructured",
    "density",
    "kernels",
    "masked",
    "masks",
    "modelled",
    "packed",
    "prunable",
    "pruned",
]
