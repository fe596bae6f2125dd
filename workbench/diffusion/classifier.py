"""A small convolutional classifier: judges samples by class, and gives features for distances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pydantic
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.checkpoints import (
    CheckpointError,
    match,
    read_tensors,
    require_finite,
    write_tensors,
)

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class ClassifierConfig(pydantic.BaseModel):
    """Shape of a `ClassifierNet`, and what it learnt from."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    image_size: int = pydantic.Field(16, ge=4, multiple_of=4)
    channels: int = pydantic.Field(1, ge=1)
    widths: tuple[int, int, int] = (24, 48, 64)
    features: int = pydantic.Field(64, ge=1)
    classes: int = pydantic.Field(10, ge=2)
    data: str = ""
    """Name of the data set on whose training side it learnt, such as digits-16; empty: not told."""


class ClassifierNet(nnx.Module):
    """Convolutions at full, half and quarter size, then a feature layer and a linear head."""

    def __init__(self, config: ClassifierConfig, *, rngs: nnx.Rngs):
        first, second, third = config.widths

        def conv(inputs: int, outputs: int, stride: int) -> nnx.Conv:
            return nnx.Conv(inputs, outputs, (3, 3), strides=(stride, stride), rngs=rngs)

        self.conv1 = conv(config.channels, first, 1)
        self.conv2 = conv(first, second, 2)
        self.conv3 = conv(second, third, 2)
        self.conv4 = conv(third, third, 1)
        cells = (config.image_size // 4) ** 2
        self.feature = nnx.Linear(cells * third, config.features, rngs=rngs)
        self.head = nnx.Linear(config.features, config.classes, rngs=rngs)

    def features(self, images: Float[Array, "B H W C"]) -> Float[Array, "B F"]:
        """The penultimate layer, of images in [0, 1]."""
        x = 2 * images - 1
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = nnx.relu(conv(x))
        return nnx.relu(self.feature(x.reshape(x.shape[0], -1)))

    def __call__(self, images: Float[Array, "B H W C"]) -> Float[Array, "B K"]:
        """Logits, of images in [0, 1]."""
        return self.head(self.features(images))


class Classifier:
    """A trained classifier with compiled calls.

    Args:
        net: the network with its weights.
        config: its shape.
    """

    def __init__(self, net: ClassifierNet, config: ClassifierConfig):
        graph, self._weights = nnx.split(net)
        self.net, self.config = net, config
        self._logits = jax.jit(lambda weights, images: nnx.merge(graph, weights)(images))
        self._features = jax.jit(lambda weights, images: nnx.merge(graph, weights).features(images))

    def logits(self, images: Float[Array | np.ndarray, "B H W C"]) -> Float[Array, "B K"]:
        """Logits of float images in [0, 1].

        Raises:
            ValueError: images of another size, or not in floating point.
        """
        return self._logits(self._weights, self._checked(images))

    def features(self, images: Float[Array | np.ndarray, "B H W C"]) -> Float[Array, "B F"]:
        """Penultimate activations of float images in [0, 1].

        Raises:
            ValueError: images of another size, or not in floating point.
        """
        return self._features(self._weights, self._checked(images))

    def predict(self, images: Float[Array | np.ndarray, "B H W C"]) -> Int[np.ndarray, " B"]:
        """The most likely class of each image."""
        return np.asarray(self.logits(images)).argmax(axis=1).astype(np.int32)

    def _checked(self, images: Any) -> Array:
        size, channels = self.config.image_size, self.config.channels
        if images.ndim != 4 or images.shape[1:] != (size, size, channels):
            raise ValueError(
                f"images have shape {images.shape}; needed [B, {size}, {size}, {channels}]"
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(f"images are {images.dtype}; needed floating point in [0, 1]")
        return jnp.asarray(images).astype(jnp.float32)


def load_classifier(folder: str | Path) -> Classifier:
    """Read a classifier folder.

    Raises:
        CheckpointError: missing, truncated, of another shape than its config says, or not finite.
    """
    folder = Path(folder)
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8")
        config = ClassifierConfig.model_validate_json(text)
    except OSError as error:
        raise CheckpointError(
            f"{folder / CONFIG}: cannot be read: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: not a classifier's config ({error})") from error
    net = nnx.eval_shape(lambda: ClassifierNet(config, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(net)
    paths, tree = jax.tree_util.tree_flatten_with_path(state)
    tensors = read_tensors(folder / WEIGHTS, dtype=np.float32)
    try:
        match(tensors, {_name(path): tuple(leaf.shape) for path, leaf in paths})
        require_finite(tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    leaves = [jnp.asarray(tensors[_name(path)]) for path, _ in paths]
    return Classifier(nnx.merge(graph, jax.tree_util.tree_unflatten(tree, leaves)), config)


def save_classifier(classifier: Classifier, folder: str | Path) -> Path:
    """Write a classifier folder; returns the weights file."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fields = json.dumps(classifier.config.model_dump(mode="json"), indent=2)
    (folder / CONFIG).write_text(fields + "\n", encoding="utf-8")
    paths, _ = jax.tree_util.tree_flatten_with_path(nnx.state(classifier.net, nnx.Param))
    return write_tensors(folder / WEIGHTS, {_name(path): np.asarray(leaf) for path, leaf in paths})


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(step.key) for step in path[:-1])  # the last step is into the variable
