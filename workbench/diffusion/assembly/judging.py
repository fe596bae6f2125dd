"""A pipeline's samples before the digits judge, and its error on pictures held out."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench import shipped
from workbench.datasets import Dataset, Images
from workbench.diffusion.assembly.students import TEACHER
from workbench.diffusion.classifier import Classifier, load_classifier
from workbench.diffusion.digits.evaluate import draw
from workbench.diffusion.digits.judge import judge
from workbench.diffusion.loading.writing import unet_of
from workbench.diffusion.pipeline import Pipeline

SAMPLER, STEPS = "dpm++", 20
FIRST = 7
"""Block of picture seeds that cards are judged on, apart from those of studies."""
TOLD = (
    "count",
    "agreement",
    "diversity_ratio",
    "pixel_diversity_ratio",
    "distance_ratio",
    "distance_count",
    "kernel_distance",
    "toy_fid",
)


def judged(
    pipeline: Pipeline, data: Dataset[Images], count: int, seed: int = FIRST
) -> dict[str, Any]:
    """What the judge of the shipped model sees in `count` samples, classes in turn.

    Args:
        pipeline: sampled with the shipped model's own settings of evaluation.
        data: with its held-out side.
        count: of samples.
        seed: names the block of picture seeds.
    """
    sampled = pipeline.with_sampling(sampler=SAMPLER, steps=STEPS)
    images, labels = draw(sampled, count, seed)
    found = judge(images, labels, data, judge_classifier()).as_json()
    about = {"sampler": SAMPLER, "steps": STEPS, "guidance": pipeline.guidance, "seed": seed}
    told = {name: found[name] for name in TOLD}
    return about | told | {"held_out_loss": held_out_loss(pipeline, data)}


def held_out_loss(pipeline: Pipeline, data: Dataset[Images], draws: int = 4) -> float:
    """mean (f(x_t, t, class) - target)² over the test pictures, the same noise for every pipeline.

    Args:
        pipeline: whose UNet is asked, without guidance.
        data: with its held-out side.
        draws: of noise, with timesteps at even distances over all pictures and draws.
    """
    graph, weights = nnx.split(unet_of(pipeline))
    scheduler, test = pipeline.scheduler, data.test
    x0 = jnp.asarray(2 * test.images.astype(np.float32) / 255 - 1)
    context, total = pipeline.tokens(test.labels), scheduler.num_train_timesteps

    @jax.jit
    def error(weights: Any, noise: Any, t: Any) -> Any:
        output = nnx.merge(graph, weights)(scheduler.add_noise(x0, noise, t), t, context)
        return jnp.mean((output - scheduler.target(x0, noise, t)) ** 2)

    count = len(x0)
    spread = np.random.default_rng(0).permutation(count * draws).reshape(draws, count)
    found = [
        float(error(weights, jax.random.normal(jax.random.key(draw), x0.shape), jnp.asarray(t)))
        for draw, t in enumerate((spread * total) // (count * draws))
    ]
    return float(np.mean(found))


@cache
def judge_classifier() -> Classifier:
    """The classifier that ships beside the teacher."""
    return load_classifier(shipped.path(TEACHER) / "classifier")
