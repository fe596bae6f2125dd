"""What a trained network is worth on pictures it has not seen."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from workbench.datasets import Images
from workbench.measure import intervals
from workbench.measure.intervals import Interval
from workbench.vision.networks import ConvNet
from workbench.vision.training.pictures import normalised

BATCH = 64


@dataclass(frozen=True, eq=False)
class Judged:
    """Answers to held-out pictures.

    Attributes:
        right: whether the likeliest class is the picture's.
        cross_entropy: mean of - log p of the right class, nats.
    """

    right: Bool[np.ndarray, " N"]
    cross_entropy: float

    @property
    def top1(self) -> Interval:
        """Share of right answers, with Wilson's interval."""
        return intervals.share(int(self.right.sum()), len(self.right))


def judged(model: ConvNet, pictures: Images) -> Judged:
    """Every picture classified, with running statistics and without any moving.

    Args:
        model: with its statistics.
        pictures: of the network's own size.

    Raises:
        ValueError: pictures the network cannot read.
    """
    logits = logits_of(model, pictures)
    right = logits.argmax(axis=-1) == pictures.labels
    away = logits - logits.max(axis=-1, keepdims=True)
    log_p = away - np.log(np.exp(away).sum(axis=-1, keepdims=True))
    chosen = log_p[np.arange(len(log_p)), pictures.labels]
    return Judged(right, float(-chosen.mean()))


def logits_of(model: ConvNet, pictures: Images) -> Float[np.ndarray, "N K"]:
    """Logits of all pictures, in float64, computed by batches of one shape."""
    graph, weights = nnx.split(model)
    found = []
    for start in range(0, len(pictures), BATCH):
        images = pictures.images[start : start + BATCH]
        filled = np.resize(images, (BATCH, *images.shape[1:]))  # the last batch repeats itself
        logits = _logits(graph, weights, normalised(filled, model.config))
        found.append(np.asarray(logits[: len(images)], np.float64))
    return np.concatenate(found)


@functools.partial(jax.jit, static_argnums=0)
def _logits(graph: Any, weights: Any, x: Float[Array, "B H W C"]) -> Float[Array, "B K"]:
    return jnp.asarray(nnx.merge(graph, weights)(x))
