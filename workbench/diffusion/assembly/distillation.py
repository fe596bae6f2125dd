"""A student learns its teacher: the task, the teacher's output, and its blocks' features.

BK-SDM (Kim et al. 2023, arXiv 2305.15798, section 3.2 and its public code), with the teacher T and
the student S on the same noisy picture:

    L = l_task |S - target|^2 + l_output |S - T|^2 + l_feature sum over blocks |f_S - f_T|^2

each a mean over values, all three weights 1. A student begins with the teacher's weights, so that
features have the same widths and nothing stands between them.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pydantic
from flax import nnx
from jaxtyping import Array, Float

from workbench.datasets import Dataset, Images, batch_at
from workbench.diffusion.assembly.assembling import Assembly
from workbench.diffusion.assembly.experts import with_experts
from workbench.diffusion.assembly.initial import assembled
from workbench.diffusion.digits.augmentation import Augmentation
from workbench.diffusion.digits.recipe import LABEL_DROPOUT, UNET_AUGMENTATION, even_timesteps
from workbench.diffusion.loading.writing import unet_of
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.unet import UNet2DCondition
from workbench.diffusion.unet.config import Routing
from workbench.diffusion.unet.program import OUTPUT
from workbench.training import Recipe


class LossWeights(pydantic.BaseModel):
    """Of the three losses; those of BK-SDM's public code."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    task: float = pydantic.Field(1.0, ge=0)
    output: float = pydantic.Field(1.0, ge=0)
    feature: float = pydantic.Field(1.0, ge=0)


class DistillationTask:
    """Distils one student of a class-conditional teacher; weights are the student's `nnx.State`.

    Args:
        teacher: its UNet is what is learnt, its class tokens are read by both.
        assembly: what the student is made of.
        data: pictures with labels, those the teacher was trained on.
        recipe: batches, and the seed of everything.
        experts: kernels in each 3x3 convolution of a ResNet; 1 for plain ones.
        routing: of several.
        weights: of the losses.
        augmentation: how far the pictures are moved.

    Raises:
        ValueError: a teacher of another form than was cut.
    """

    def __init__(
        self,
        teacher: Pipeline,
        assembly: Assembly,
        data: Dataset[Images],
        recipe: Recipe,
        *,
        experts: int = 1,
        routing: Routing = "softmax",
        weights: LossWeights | None = None,
        augmentation: Augmentation = UNET_AUGMENTATION,
    ):
        self.teacher, self.assembly, self.data, self.recipe = teacher, assembly, data, recipe
        self.experts, self.routing = experts, routing
        self.weights, self.augmentation = weights or LossWeights(), augmentation
        student = self._first()
        self.graph, self._start = nnx.split(student)
        self.config = student.config
        parts = (teacher.weights_hash, self.config, self.weights, augmentation, LABEL_DROPOUT)
        self.fingerprint = "; ".join(
            [data.fingerprint, *map(repr, parts), repr(sorted(assembly.sources.items()))]
        )

    def _first(self) -> UNet2DCondition:
        student = assembled(self.assembly, unet_of(self.teacher), seed=self.recipe.seed)
        return with_experts(student, self.experts, self.routing, seed=self.recipe.seed)

    @functools.cached_property
    def _teacher(self) -> Any:
        return nnx.split(unet_of(self.teacher))

    def init(self, key: Array) -> Any:
        """The teacher's weights, and what no module of it gave from the recipe's seed."""
        return self._start

    def loss(
        self, params: Any, batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        x0, labels, table = batch["images"], batch["labels"], self.teacher.tokens
        scheduler = self.teacher.scheduler
        time_key, noise_key, drop_key = jax.random.split(key, 3)
        t = even_timesteps(time_key, len(x0), scheduler.num_train_timesteps)
        noise = jax.random.normal(noise_key, x0.shape)
        dropped = jax.random.uniform(drop_key, labels.shape) < LABEL_DROPOUT
        context = table.table[jnp.where(dropped, table.classes, labels)]
        noisy = scheduler.add_noise(x0, noise, t)
        ours, theirs = zip(*self.assembly.features, strict=True)
        student = nnx.merge(self.graph, params)
        made = student.run(noisy, t, context, wanted=(OUTPUT, *ours))
        teacher = nnx.merge(*self._teacher)
        right = teacher.run(noisy, t, context, wanted=(OUTPUT, *theirs))
        losses = {
            "task": squared(made[OUTPUT], scheduler.target(x0, noise, t)),
            "output": squared(made[OUTPUT], right[OUTPUT]),
            "feature": sum(
                (squared(made[a], right[b]) for a, b in self.assembly.features), jnp.zeros(())
            ),
        }
        total = sum((weight * losses[name] for name, weight in self.weights), jnp.zeros(()))
        return total, losses

    def batch(self, step: int) -> dict[str, np.ndarray]:
        found = batch_at(self.data.train, self.recipe.batch_size, self.recipe.seed, step)
        images = self.augmentation(found.values, self.recipe.seed, step)
        return {"images": 2 * images - 1, "labels": found.labels}


def squared(a: Float[Array, "B H W C"], b: Float[Array, "B H W C"]) -> Float[Array, ""]:
    """mean (a - b)²."""
    return jnp.mean((a - b) ** 2)
