"""Inception v3 (Szegedy et al. 2016), the feature extractor of FID, from the user's own weights.

The file is a safetensors file with torchvision's names. Two forms of the network go by these names:
the one ported from TensorFlow that FID is defined on (1,008 classes), whose average pools leave the
padding out and whose last block pools by maximum, and torchvision's and timm's own (1,000 classes).
The width of the classifier in the file tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.checkpoints import CheckpointError, match, open_tensors, require_finite
from workbench.diffusion.quality.inception_blocks import (
    STEM,
    Branch,
    Conv,
    Fork,
    Form,
    Pool,
    blocks,
    convolutions,
)
from workbench.progress import Report, silent

SIZE = 299
"""Pixels a side of what the network sees."""
WIDTH = 2048
"""Features of a picture: the last block's mean over pixels."""
BATCH = 8
EPSILON = 1e-3
"""Of every batch norm."""
NORM = ("weight", "bias", "running_mean", "running_var")
"""The arrays of one, under the file's names."""

CLASSES: dict[int, Form] = {1008: "fid", 1000: "torchvision"}


class Inception:
    """The network up to its pooled features.

    Args:
        weights: kernel [R, S, C, K] and bias [K] of each convolution, batch norm folded in.
        form: which of the two networks.
    """

    def __init__(self, weights: Mapping[str, tuple[Array, Array]], form: Form):
        self.weights, self.form = dict(weights), form
        self._features = jax.jit(partial(_features, form=form))

    @classmethod
    def load(cls, file: str | Path) -> Inception:
        """Read a safetensors file, or the folder it lies in.

        Raises:
            CheckpointError: names the file, and a tensor that is missing, of another shape, or not
                finite.
        """
        tensors = open_tensors(Path(file), dtype=np.float32)
        try:
            form = _form(tensors.shapes)
            shapes = file_shapes(form)
            kept = {name: tensors[name] for name in tensors if name in shapes}
            match(kept, shapes)
            require_finite(kept)
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {error}") from error
        return cls({conv: _folded(kept, conv) for conv in convolutions(form)}, form)

    def features(
        self, images: Float[Array | np.ndarray, "B H W C"], report: Report = silent
    ) -> Float[np.ndarray, "B 2048"]:
        """Features of pictures in [0, 1], grey or RGB, of any size.

        Raises:
            ValueError: not pictures, or fewer or more than 1 or 3 channels.
        """
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise ValueError(f"images have shape {images.shape}; needed [B, H, W, 1 or 3]")
        found = []
        for start in range(0, len(images), BATCH):
            report(start, len(images), "Inception features")
            found.append(np.asarray(self._features(self.weights, images[start : start + BATCH])))
        report(len(images), len(images), "Inception features")
        return np.concatenate(found)


def _features(weights, images: Array, *, form: Form) -> Array:
    """Resized without smoothing, as the FID of the papers is, scaled to [-1, 1], and passed on."""
    count, _, _, channels = images.shape
    x = jax.image.resize(
        images.astype(jnp.float32), (count, SIZE, SIZE, channels), "bilinear", antialias=False
    )
    x = 2 * jnp.broadcast_to(x, (count, SIZE, SIZE, 3)) - 1
    run = partial(_branch, weights=weights, padded=form == "torchvision")
    x = run(x, STEM, "")
    for name, branches in blocks(form).items():
        x = jnp.concatenate([run(x, branch, f"{name}.") for branch in branches], axis=-1)
    return jnp.mean(x, axis=(1, 2))


def _branch(x: Array, steps: Branch, place: str, *, weights, padded: bool) -> Array:
    for step in steps:
        match step:
            case Conv():
                x = _convolved(x, step, weights[place + step.name])
            case Fork():
                sides = [_convolved(x, one, weights[place + one.name]) for one in step]
                x = jnp.concatenate(sides, axis=-1)
            case Pool():
                x = _pooled(x, step.kind, padded)
    return x


def _convolved(x: Array, conv: Conv, weights: tuple[Array, Array]) -> Array:
    kernel, bias = weights
    out = jax.lax.conv_general_dilated(
        x,
        kernel,
        (conv.stride, conv.stride),
        conv.padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return jax.nn.relu(out + bias[None, None, None, :])


def _pooled(x: Array, kind: str, padded: bool) -> Array:
    """A pool; a smooth one counts the padding as pixels where `padded`."""
    stride = 2 if kind == "halve" else 1
    window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    padding = "VALID" if kind == "halve" else "SAME"
    if kind != "smooth":
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, padding)
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, strides, padding)
    if padded:
        return total / 9
    ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return total / jax.lax.reduce_window(ones, 0.0, jax.lax.add, window, strides, padding)


def _form(shapes: Mapping[str, tuple[int, ...]]) -> Form:
    classes = shapes.get("fc.weight", (0,))[0]
    if classes not in CLASSES:
        raise CheckpointError(
            f"fc.weight has {classes} classes; needed Inception v3 under torchvision's names, with "
            "1008 classes (FID's) or 1000"
        )
    return CLASSES[classes]


def file_shapes(form: Form) -> dict[str, tuple[int, ...]]:
    """Shape by the file's names: kernels OIHW and the four arrays of each batch norm."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (conv, channels) in convolutions(form).items():
        found[f"{name}.conv.weight"] = (conv.width, channels, *conv.kernel)
        found.update({f"{name}.bn.{part}": (conv.width,) for part in NORM})
    return found


def _folded(tensors: Mapping[str, np.ndarray], name: str) -> tuple[Array, Array]:
    """Kernel HWIO and bias with the batch norm, γ (x - mean) / √(var + ε) + β, folded in."""
    gamma, beta, mean, variance = (tensors[f"{name}.bn.{part}"] for part in NORM)
    scale = gamma / np.sqrt(variance + EPSILON)
    kernel = tensors[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale
    return jnp.asarray(kernel), jnp.asarray(beta - mean * scale)
