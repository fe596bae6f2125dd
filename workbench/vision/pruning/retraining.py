"""A trained network trained on while it is pruned, and for how long; the lengths are ours."""

from __future__ import annotations

from typing import Any

import optax

from workbench.datasets import Dataset, Images
from workbench.training import Recipe, adamw
from workbench.vision.networks import ConvNet
from workbench.vision.pruning.gradual import GradualPruning, pruning_optimizer
from workbench.vision.pruning.layers import prunable
from workbench.vision.pruning.masking import density, kernels
from workbench.vision.pruning.schedule import CubicSchedule
from workbench.vision.pruning.structures import Structure
from workbench.vision.training.augmentation import Augmentation
from workbench.vision.training.task import ClassificationTask

STEPS = 150
PRUNED_BY = 2 / 3
"""Share of the updates after which masks stay."""
TIMES = 10
"""How often masks are made anew after the first time."""


def pruning_recipe(steps: int = STEPS, seed: int = 0) -> Recipe:
    """AdamW at a quarter of the first training's rate, falling to a hundredth as a cosine.

    Raises:
        ValueError: fewer than 3 updates, which leaves none for the schedule.
    """
    if steps < 3:
        raise ValueError(f"steps={steps}: pruning while training needed at least 3 updates")
    return Recipe(
        steps=steps,
        batch_size=64,
        learning_rate=1e-3,
        schedule="cosine",
        final_fraction=0.01,
        weight_decay=0.02,
        clip_norm=5.0,
        log_every=max(1, steps // 20),
        checkpoint_every=50,
        seed=seed,
    )


def cubic(structure: Structure, steps: int) -> CubicSchedule:
    """From dense to the structure's share in the first two thirds of the updates."""
    every = max(1, int(steps * PRUNED_BY) // TIMES)
    length = max(1, int(steps * PRUNED_BY) // every) * every
    return CubicSchedule(start=0, length=length, every=every, final=structure.sparsity)


class PruningTask(ClassificationTask):
    """Trains a network on while its weights are dropped by the cubic schedule.

    Args:
        model: trained; stays as it is.
        data: pictures of the classes it knows.
        recipe: of the updates.
        structure: what is pruned; nothing if None, the network trained on as it is.
        augmentation: how pictures are moved.

    Raises:
        ValueError: data of other classes or pictures than the network's, or layers that the
            structure cannot prune.
    """

    def __init__(
        self,
        model: ConvNet,
        data: Dataset[Images],
        recipe: Recipe,
        structure: Structure | None,
        *,
        augmentation: Augmentation | None = None,
    ):
        classes = len(data.label_names)
        if classes != model.config.num_classes:
            raise ValueError(
                f"{data.name} has {classes} classes; the network tells {model.config.num_classes}"
            )
        super().__init__(model.config, data, recipe, augmentation=augmentation, start=model)
        self.pruning: GradualPruning | None = None
        self.layers: frozenset[str] = frozenset()
        if structure is not None:
            self.pruning = GradualPruning(structure, cubic(structure, recipe.steps))
            self.layers = frozenset(prunable(model, structure))
        self.fingerprint += f"; {self.pruning!r}"

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """AdamW, after which dropped weights are zero."""
        inner: Any = adamw(recipe)
        if self.pruning is None:
            return inner
        return pruning_optimizer(inner, self.pruning, self.layers)


def share_kept(model: ConvNet, structure: Structure) -> float:
    """Share of the weights that are not zero, in the layers that a structure prunes."""
    return density({name: kernel != 0 for name, kernel in kernels(model, structure).items()})
