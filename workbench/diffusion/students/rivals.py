"""Rivals of the one-pass student, on the same teacher and budget.

A consistency model (Luo et al. 2023, arXiv 2310.04378) in the teacher's own space, and a one-step
network that learns the teacher's pictures from their noise by squared error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from workbench.datasets import Dataset, Images, batch_at
from workbench.diffusion.schedulers import LCM, Row
from workbench.diffusion.schedulers.lcm import SIGMA_DATA
from workbench.diffusion.students.distillation import guided
from workbench.diffusion.students.learning import adam
from workbench.diffusion.students.one_pass import OnePass, one_pass, predictions
from workbench.diffusion.students.teacher import Teacher
from workbench.training import Recipe, learning_rate


@dataclass(frozen=True, eq=False)
class ConsistencyTask:
    """A latent consistency model: f(x_t) is to equal f(x_t') one step of the teacher's sampler on.

    f = c_skip x + c_out x0 (eq. 9), the guided step is DDIM's from t to t - T/N (eq. 15, with a
    fixed guidance), and the target network is the student itself, held still (ours, after Song &
    Dhariwal 2023, arXiv 2310.14189, section 3.2; the paper averages it).

    Args:
        teacher: its sampler's steps are the solver's, N.
        data: pictures to begin with, unlike the one-pass student, which needs none.
        recipe: batches and rates.
    """

    teacher: Teacher
    data: Dataset[Images]
    recipe: Recipe

    @property
    def fingerprint(self) -> str:
        return f"consistency {self.data.fingerprint} {self.teacher.fingerprint}"

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """Adam, as the student's."""
        return adam(recipe, learning_rate(recipe))

    def init(self, key: Array) -> Any:
        return self.teacher.weights

    @cached_property
    def scheduler(self) -> LCM:
        """The sampler of what is learnt: the teacher's noise, its steps the solver's."""
        return consistency_scheduler(self.teacher)

    @cached_property
    def _steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Timesteps of the solver, DDIM's two coefficients of each, and f's two."""
        steps = self.teacher.pipeline.steps
        solver = self.teacher.pipeline.scheduler.plan(steps)
        rows = [Row(*row) for row in np.asarray(solver.table, np.float64).tolist()]
        ddim = [
            (r.x + r.x0 * r.x0_x + r.eps * r.eps_x, r.x0 * r.x0_output + r.eps * r.eps_output)
            for r in rows
        ]
        whole = self.scheduler.plan(steps)
        if not np.array_equal(solver.timesteps, whole.timesteps):
            raise ValueError(
                f"scheduler: a consistency student samples at {whole.timesteps[0]}, "
                f"{whole.timesteps[1]} ..., the teacher at {solver.timesteps[0]}, "
                f"{solver.timesteps[1]} ...; needed the same (timestep_spacing='trailing')"
            )
        return np.asarray(solver.timesteps), np.array(ddim), self._boundary(solver.timesteps, rows)

    def _boundary(self, timesteps: Any, rows: list[Row]) -> np.ndarray:
        """f's weights of x and of the model's output at each timestep."""
        scaled = np.asarray(timesteps) * self.scheduler.timestep_scaling
        skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        out = scaled / np.sqrt(scaled**2 + SIGMA_DATA**2)
        of_x, of_output = np.array([(row.x0_x, row.x0_output) for row in rows]).T
        return np.stack([skip + out * of_x, out * of_output], axis=1)

    def loss(
        self, params: Any, batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        teacher = self.teacher
        timesteps, ddim, f = (jnp.asarray(v, jnp.float32) for v in self._steps)
        context, blank = batch["tokens"][batch["labels"]], batch["tokens"][-1]
        x0, count = batch["images"], len(batch["labels"])
        index_key, noise_key = jax.random.split(key)
        n = jax.random.randint(index_key, (count,), 0, len(timesteps))
        t = timesteps[n].astype(jnp.int32)
        scheduler = teacher.pipeline.scheduler
        x = scheduler.add_noise(x0, jax.random.normal(noise_key, x0.shape), t)

        def at(table: Array, step: Array) -> tuple[Array, Array]:
            a, b = (table[step, i][:, None, None, None] for i in (0, 1))
            return a, b

        output = guided(teacher.unet(batch["teacher"]), x, t, context, blank, teacher.guidance)
        a, b = at(ddim, n)
        after = a * x + b * output
        # After the last step stands the picture itself: f is the identity there.
        last = n + 1 == len(timesteps)
        following = jnp.where(last, n, n + 1)
        still = teacher.unet(jax.lax.stop_gradient(params))
        a, b = at(f, following)
        wanted = a * after + b * still(after, timesteps[following], context)
        wanted = jnp.where(last[:, None, None, None], after, wanted)
        a, b = at(f, n)
        found = a * x + b * teacher.unet(params)(x, t, context)
        return jnp.mean((found - jax.lax.stop_gradient(wanted)) ** 2), {}

    def batch(self, step: int) -> dict[str, Any]:
        drawn = batch_at(self.data.train, self.recipe.batch_size, self.recipe.seed, step)
        return {
            "images": drawn.values.astype(np.float32) / 127.5 - 1,
            "labels": drawn.labels,
            "teacher": self.teacher.weights,
            "tokens": self.teacher.tokens,
        }


def consistency_scheduler(teacher: Teacher) -> LCM:
    """The sampler of a consistency student of this teacher."""
    theirs = teacher.pipeline.scheduler
    shared = LCM.model_fields.keys() & type(theirs).model_fields.keys()
    fields = {name: getattr(theirs, name) for name in shared if name != "clip_sample"}
    return LCM(**fields, original_inference_steps=teacher.pipeline.steps)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Noise and what the teacher makes of it.

    Attributes:
        noise: z.
        images: the teacher's samples, in [-1, 1].
        labels: the classes asked for.
    """

    noise: Float[np.ndarray, "N H W C"]
    images: Float[np.ndarray, "N H W C"]
    labels: Int[np.ndarray, " N"]

    @cached_property
    def digest(self) -> str:
        """sha256 of all of it, its first 16 digits."""
        found = hashlib.sha256()
        for array in (self.noise, self.images, self.labels):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class RegressionTask:
    """A one-step network: mean (z0(z) - x(z))², x(z) what the teacher makes of the same noise.

    Args:
        teacher: where the student begins.
        pairs: the teacher's work, which counts as training.
        recipe: batches and rates.
    """

    teacher: Teacher
    pairs: Pairs
    recipe: Recipe

    @cached_property
    def form(self) -> OnePass:
        """Of the student's sampler: one step."""
        return one_pass(self.teacher.pipeline.scheduler, 1)

    @property
    def fingerprint(self) -> str:
        return f"regression {self.pairs.digest} {self.teacher.fingerprint}"

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """Adam, as the student's."""
        return adam(recipe, learning_rate(recipe))

    def init(self, key: Array) -> Any:
        return self.teacher.weights

    def loss(
        self, params: Any, batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        context = batch["tokens"][batch["labels"]]
        unet = self.teacher.unet(params)
        outputs = predictions(unet, batch["noise"], self.form.timesteps, context)
        found = self.form.clean(batch["noise"], outputs)
        return jnp.mean((found - batch["images"]) ** 2), {}

    def batch(self, step: int) -> dict[str, Any]:
        pairs, recipe = self.pairs, self.recipe
        key = np.array([recipe.seed, step], np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key))
        size = min(recipe.batch_size, len(pairs.labels))
        chosen = draw.choice(len(pairs.labels), size, replace=False)
        return {
            "noise": pairs.noise[chosen],
            "images": pairs.images[chosen],
            "labels": pairs.labels[chosen],
            "tokens": self.teacher.tokens,
        }
