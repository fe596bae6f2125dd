"""Training of the one-pass student (TiUE, Li et al. 2025, arXiv 2505.21960): no picture is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from workbench.diffusion.students.distillation import (
    TIMES,
    divergences,
    fake_score,
    guided,
    predicted_noise,
    score_distillation,
    summed,
)
from workbench.diffusion.students.low_rank import LowRank
from workbench.diffusion.students.one_pass import OnePass, one_pass, predictions
from workbench.diffusion.students.teacher import Teacher
from workbench.training import Recipe, learning_rate

FAKE_RATE = 1e-3
"""Learning rate of the fake score, the paper's; the student's is the recipe's."""


def drawn_labels(classes: int, recipe: Recipe, step: int) -> Int[np.ndarray, " B"]:
    """Classes of an update's pictures, the same for the same seed and step."""
    draw = np.random.Generator(np.random.Philox(key=np.array([recipe.seed, step], np.uint64)))
    return draw.integers(0, classes, recipe.batch_size).astype(np.int32)


def adam(recipe: Recipe, rate: Any) -> optax.GradientTransformation:
    """Adam after clipping, without decay, as the paper trains."""
    clip = optax.identity()
    if recipe.clip_norm is not None:
        clip = optax.clip_by_global_norm(recipe.clip_norm)
    return optax.chain(clip, optax.adam(rate, *recipe.betas, recipe.epsilon))


@dataclass(frozen=True, eq=False)
class OnePassTask:
    """Score distillation of a student that encodes once: L = L_VSD + λ L_KL, and the fake score's.

    Both networks move in every update, on the same pictures; the paper takes turns (ours).

    Args:
        teacher: whose pictures are to be matched; the student begins as its copy.
        passes: K.
        divergence: λ, weight of the predicted noises' divergence from N(0, 1).
        recipe: batches and rates.
        adapter: of the fake score.
    """

    teacher: Teacher
    passes: int
    divergence: float
    recipe: Recipe
    adapter: LowRank = field(default_factory=LowRank)

    def __post_init__(self) -> None:
        if not self.divergence >= 0:
            raise ValueError(f"divergence={self.divergence}: the weight must be at least 0")
        _ = self.form

    @cached_property
    def form(self) -> OnePass:
        """Of the student's sampler."""
        return one_pass(self.teacher.pipeline.scheduler, self.passes)

    @property
    def fingerprint(self) -> str:
        return (
            f"one pass, {self.passes} {self.divergence:g} {self.adapter!r} {FAKE_RATE} "
            f"{self.teacher.fingerprint}"
        )

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """One for each network, with a clipping of its own."""
        parts = {
            "student": adam(recipe, learning_rate(recipe)),
            "fake": adam(recipe, FAKE_RATE),
        }

        def owner(params: dict[str, Any]) -> dict[str, Any]:
            return {n: jax.tree.map(lambda _, n=n: n, part) for n, part in params.items()}

        return optax.multi_transform(parts, owner)

    def init(self, key: Array) -> dict[str, Any]:
        weights = self.teacher.weights
        return {"student": weights, "fake": self.adapter.init(weights, key)}

    def loss(
        self, params: dict[str, Any], batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        teacher, form = self.teacher, self.form
        scheduler = teacher.pipeline.scheduler
        context, blank = batch["tokens"][batch["labels"]], batch["tokens"][-1]
        count = len(batch["labels"])
        keys = jax.random.split(key, 4)

        z = jax.random.normal(keys[0], (count, *teacher.shape))
        outputs = predictions(teacher.unet(params["student"]), z, form.timesteps, context)
        z0 = form.clean(z, outputs)
        apart = divergences(form.predicted_noises(z, outputs))

        low, high = (round(share * scheduler.num_train_timesteps) for share in TIMES)
        t = jax.random.randint(keys[1], (count,), low, high + 1)
        still = jax.lax.stop_gradient(z0)
        noisy = scheduler.add_noise(still, jax.random.normal(keys[2], z.shape), t)
        frozen = self.adapter.moved(batch["teacher"], jax.lax.stop_gradient(params["fake"]))

        def score(weights: Any) -> Array:
            unet = teacher.unet(weights)
            output = guided(unet, noisy, t, context, blank, teacher.guidance)
            return predicted_noise(scheduler, noisy, output, t)

        # One body for both: a UNet's pass takes long to compile.
        both = jax.tree.map(lambda *pair: jnp.stack(pair), batch["teacher"], frozen)
        real, fake = jax.lax.map(score, both)
        abar = jnp.asarray(scheduler.abar, jnp.float32)[t]
        distilled = score_distillation(z0, real, fake, abar)

        adapted = teacher.unet(self.adapter.moved(batch["teacher"], params["fake"]))
        own = fake_score(scheduler, adapted, z0, context, blank, keys[3])
        told = {"distillation": distilled, "divergence": jnp.mean(apart), "fake_score": own}
        return distilled + batch["divergence"] * summed(apart) + own, told

    def batch(self, step: int) -> dict[str, Any]:
        classes = self.teacher.pipeline.tokens.classes
        return {
            "labels": drawn_labels(classes, self.recipe, step),
            # Arguments of the update, not constants of its program: one serves every λ.
            "divergence": np.float32(self.divergence),
            "teacher": self.teacher.weights,
            "tokens": self.teacher.tokens,
        }
