"""Classification of pictures: cross-entropy with smoothed labels.

    L = - sum_k q_k log p_k,   q = (1 - e) onehot + e / K

(Szegedy et al. 2016, section 7). A step normalises with its batch's statistics; those of inference
are the training pictures' own, taken once the weights are final (`population`).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32

from workbench.datasets import Dataset, DatasetError, Images, batch_at
from workbench.runs import digest
from workbench.training import Recipe
from workbench.vision.architectures import published
from workbench.vision.initial import new
from workbench.vision.networks import ConvNet, NetworkConfig
from workbench.vision.networks.convnet import check_pictures
from workbench.vision.preprocessing import Preprocessing
from workbench.vision.training.augmentation import Augmentation
from workbench.vision.training.judging import judged
from workbench.vision.training.pictures import normalised
from workbench.vision.training.population import with_population_statistics

SMOOTHING = 0.1


def table_for(
    network: str | NetworkConfig, data: Dataset[Images], *, drop_path: float = 0.0
) -> NetworkConfig:
    """A network's table with the classes, channels and size of a dataset.

    Args:
        network: a table's name or a table, whatever its classes.
        data: pictures with at least two classes.
        drop_path: largest rate of stochastic depth.

    Raises:
        ValueError: a name there is not.
        DatasetError: pictures without classes.
    """
    classes = len(data.label_names)
    if classes < 2:
        raise DatasetError(
            f"{data.name} has {classes or 'no'} class{'es' * (classes != 1)}; a classifier needs "
            "two: a folder with one sub-folder a class"
        )
    table = published(network) if isinstance(network, str) else network
    height, width, channels = data.train.images.shape[1:]
    preprocessing = Preprocessing(
        input_size=(channels, height, width),
        crop_pct=1.0,
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
    )
    changes = {
        "num_classes": classes,
        "in_chans": channels,
        "drop_path": drop_path,
        "preprocessing": preprocessing,
    }
    return table.model_copy(update=changes)


class ClassificationTask:
    """Trains a network to name the class of a picture; weights are its `nnx.Param`s.

    Args:
        table: as `table_for` makes it.
        data: pictures with classes.
        recipe: batches, and the seed of weights and of everything drawn.
        smoothing: e, taken from the right class and spread over all.
        augmentation: how pictures are moved.
        start: a network of this table to go on from; fresh weights of the recipe's seed if None.

    Raises:
        ValueError: a table that cannot be built, or that reads other pictures.
    """

    def __init__(
        self,
        table: NetworkConfig,
        data: Dataset[Images],
        recipe: Recipe,
        *,
        smoothing: float = SMOOTHING,
        augmentation: Augmentation | None = None,
        start: ConvNet | None = None,
    ):
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing={smoothing} must be at least 0 and below 1")
        self.table, self.data, self.recipe, self.smoothing = table, data, recipe, smoothing
        self.augmentation = augmentation or Augmentation()
        pictures = jax.ShapeDtypeStruct(data.train.images[:1].shape, jnp.float32)
        check_pictures(table, pictures)  # type: ignore[arg-type]
        model = new(table, seed=recipe.seed) if start is None else start
        parts: Any = nnx.split(model, nnx.Param, ...)
        self.graph, self._start, self.statistics = parts
        rest = [table.record(), smoothing, self.augmentation.model_dump()]
        rest += [] if start is None else [digest(jax.tree.leaves(self._start))]
        self.fingerprint = "; ".join([data.fingerprint, *map(repr, rest)])

    def init(self, key: Array) -> Any:
        """The first weights."""
        return self._start

    def loss(
        self, params: Any, batch: dict[str, Any], key: Array
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Mean smoothed cross-entropy, and the share of right answers."""
        # A copy: a step moves running statistics, and these belong to no step.
        model = nnx.merge(self.graph, params, self.statistics, copy=True)
        logits = model(normalised(batch["images"], self.table), nnx.Rngs(key))
        loss = smoothed_cross_entropy(logits, batch["labels"], self.smoothing)
        right = jnp.argmax(logits, axis=-1) == batch["labels"]
        return loss, {"accuracy": jnp.mean(right.astype(jnp.float32))}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Moved pictures and their labels."""
        found = batch_at(self.data.train, self.recipe.batch_size, self.recipe.seed, step)
        images = self.augmentation(found.values, self.recipe.seed, step)
        return {"images": images, "labels": found.labels}

    def finished(self, weights: Any) -> ConvNet:
        """The network of these weights, with the statistics that inference needs."""
        model: ConvNet = nnx.merge(self.graph, weights, self.statistics, copy=True)
        return with_population_statistics(model, self.data.train, seed=self.recipe.seed)

    def evaluate(self, weights: Any) -> dict[str, float]:
        """Top-1 and cross-entropy of the held-out pictures."""
        found = judged(self.finished(weights), self.data.test)
        return {"accuracy": found.top1.value, "cross_entropy": found.cross_entropy}


def smoothed_cross_entropy(
    logits: Float[Array, "B K"], labels: Int32[Array, " B"], smoothing: float
) -> Float[Array, ""]:
    """- sum_k q_k log p_k, mean over the batch; q = (1 - e) onehot + e / K."""
    log_p = jax.nn.log_softmax(logits)
    right = jnp.take_along_axis(log_p, labels[:, None], axis=-1)[:, 0]
    return -jnp.mean((1 - smoothing) * right + smoothing * jnp.mean(log_p, axis=-1))
