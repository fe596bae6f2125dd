"""Training of autoencoders: the 8x one, and TVT's two stages towards one of another stride.

Yi et al. 2025 (TVT, arXiv 2507.20291), section 3.2: a new decoder learns the frozen encoder's
latents, then a new encoder learns to serve that decoder, which stands still. The losses are those
of latent diffusion (Rombach et al. 2022), |x - x'| and KL times 1e-6, with random features in
place of LPIPS and no discriminator: TVT's own weights are not published, and these are ours.

Weights that stand still come with every batch: they are arguments of the compiled update, which
then serves every seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.super_resolution.features import feature_distance
from workbench.diffusion.super_resolution.networks import (
    DECODER,
    ENCODER,
    Network,
    fresh,
    shapes,
)
from workbench.diffusion.super_resolution.pictures import Pictures
from workbench.diffusion.super_resolution.resizing import enlarged
from workbench.diffusion.vae import AutoencoderConfig, Moments
from workbench.training import Recipe

Reading = Literal["picture", "latent"]
READINGS: tuple[Reading, ...] = ("picture", "latent")
"""What stage 1 enlarges so that the grids agree, which the paper leaves open: the picture the
frozen encoder sees, or its latent."""

FEATURES = 1.0
"""Weight of the feature distance beside |x - x'|."""
KL = 1e-6
"""Weight of the KL divergence, summed over a latent, beside errors summed over a picture."""


def reconstruction_loss(
    picture: Float[Array, "B H W C"], found: Float[Array, "B H W C"]
) -> tuple[Array, dict[str, Array]]:
    """mean |x - x'| + features, and the first alone."""
    error = jnp.mean(jnp.abs(picture - found))
    return error + FEATURES * feature_distance(picture, found), {"error": error}


def divergence(moments: Moments, values: int) -> Array:
    """KL(N(mean, variance) | N(0, 1)) of a latent over the picture's number of values."""
    mean, log_variance = moments
    each = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)
    return jnp.sum(each) / (len(mean) * values)


@dataclass(frozen=True, eq=False)
class AutoencoderTask:
    """An autoencoder on its own, from nothing or from weights there are.

    Args:
        config: its shape.
        pictures: to learn from.
        recipe: batches.
        start: weights to go on from.
    """

    config: AutoencoderConfig
    pictures: Pictures
    recipe: Recipe
    start: Network | None = None

    @cached_property
    def fingerprint(self) -> str:
        began = "" if self.start is None else self.start.digest
        return f"autoencoder {self.config!r} {began} {self.pictures.fingerprint} {FEATURES} {KL}"

    @cached_property
    def network(self) -> Network:
        return Network(self.config, None)

    def init(self, key: Array) -> Any:
        return fresh(self.config, key).weights if self.start is None else copied(self.start.weights)

    def loss(self, params: Any, batch: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        model = self.network.model(params)
        moments = model.encode(batch)
        loss, told = reconstruction_loss(batch, model.decode(moments.sample(key)))
        return loss + KL * divergence(moments, batch[0].size), told

    def batch(self, step: int) -> Float[np.ndarray, "B S S 3"]:
        return self.pictures.batch(self.recipe.batch_size, self.recipe.seed, step)


@dataclass(frozen=True, eq=False)
class DecoderTask:
    """Stage 1: a decoder learns the latents of a frozen encoder, on its own grid.

    Args:
        teacher: the frozen autoencoder.
        config: of the student, whose decoder is trained.
        pictures: to learn from.
        recipe: batches.
        reading: what is enlarged where the student's grid is finer.
        start: a student to go on from; fresh where None.

    Raises:
        ValueError: a teacher whose latents the student cannot read.
    """

    teacher: Network
    config: AutoencoderConfig
    pictures: Pictures
    recipe: Recipe
    reading: Reading = "picture"
    start: Network | None = None

    def __post_init__(self) -> None:
        check_teacher(self.teacher, self.config)
        if self.reading not in READINGS:
            raise ValueError(f"reading={self.reading!r} is not one of {', '.join(READINGS)}")

    @cached_property
    def fingerprint(self) -> str:
        began = "" if self.start is None else self.start.digest
        return (
            f"decoder {self.teacher.digest} {self.config!r} {self.reading} {began} "
            f"{self.pictures.fingerprint} {FEATURES}"
        )

    def init(self, key: Array) -> dict[str, Any]:
        student = fresh(self.config, key) if self.start is None else self.start
        return copied(student.side(DECODER))

    def loss(
        self, params: dict[str, Any], batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        sharp, teacher = batch["sharp"], Network(self.teacher.config, batch["frozen"])
        latent = jax.lax.stop_gradient(
            teacher_latent(teacher, self.config.stride, sharp, self.reading, key)
        )
        return reconstruction_loss(sharp, decoded(self.config, params, latent))

    def batch(self, step: int) -> dict[str, Any]:
        sharp = self.pictures.batch(self.recipe.batch_size, self.recipe.seed, step)
        return {"sharp": sharp, "frozen": self.teacher.weights}


@dataclass(frozen=True, eq=False)
class EncoderTask:
    """Stage 2: an encoder learns to serve a decoder that stands still.

    Args:
        student: with the decoder of stage 1; its encoder is where training starts.
        pictures: to learn from.
        recipe: batches.
        keep: whether the student's encoder is gone on from; a fresh one otherwise.
    """

    student: Network
    pictures: Pictures
    recipe: Recipe
    keep: bool = False

    @cached_property
    def fingerprint(self) -> str:
        return (
            f"encoder {self.student.digest} {self.keep} {self.pictures.fingerprint} {FEATURES} {KL}"
        )

    def init(self, key: Array) -> dict[str, Any]:
        first = self.student if self.keep else fresh(_shape(self.student), key)
        return copied(first.side(ENCODER))

    def loss(
        self, params: dict[str, Any], batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        sharp = batch["sharp"]
        model = self.student.model(nnx.State({**batch["frozen"], **params}))
        moments = model.encode(sharp)
        loss, told = reconstruction_loss(sharp, model.decode(moments.sample(key)))
        return loss + KL * divergence(moments, sharp[0].size), told

    def batch(self, step: int) -> dict[str, Any]:
        sharp = self.pictures.batch(self.recipe.batch_size, self.recipe.seed, step)
        return {"sharp": sharp, "frozen": self.student.side(DECODER)}


def teacher_latent(
    teacher: Network, stride: int, pictures: Array, reading: Reading, key: Array | None = None
) -> Float[Array, "B h w L"]:
    """A frozen encoder's latent on the grid of a student of another stride.

    Args:
        teacher: the autoencoder.
        stride: the student's.
        pictures: in [-1, 1].
        reading: what is enlarged.
        key: for a sample; the mean where None.
    """
    ratio = _shape(teacher).stride // stride
    if reading == "picture" and ratio > 1:
        pictures = enlarged(pictures, ratio)
    moments = teacher.model().encode(pictures)
    latent: Array = moments.mean if key is None else moments.sample(key)
    return enlarged(latent, ratio) if reading == "latent" and ratio > 1 else latent


def decoded(
    config: AutoencoderConfig, decoder: dict[str, Any], latent: Float[Array, "B h w L"]
) -> Float[Array, "B H W C"]:
    """A decoder alone on a latent."""
    model = shapes(config).with_side(decoder).model()  # the encoder's weights are never read
    found: Array = model.decode(latent)
    return found


def check_teacher(teacher: Network, student: AutoencoderConfig) -> None:
    """Holds a teacher's form against a student's.

    Raises:
        ValueError: latents or pictures of other channels, or a coarser student.
    """
    form = teacher.config
    if not isinstance(form, AutoencoderConfig):
        raise ValueError("teacher is no autoencoder; give the 8x one")
    for name in ("latent_channels", "in_channels", "scaling_factor"):
        ours, theirs = getattr(student, name), getattr(form, name)
        if ours != theirs:
            raise ValueError(f"teacher has {name}={theirs}; the student has {ours}")
    if form.stride % student.stride:
        raise ValueError(
            f"teacher has {form.stride} pixels to one; the student {student.stride}, which must "
            "divide it"
        )


def copied(weights: Any) -> Any:
    """Weights of their own: an update gives the memory of the old ones away."""
    return jax.tree.map(jnp.array, weights)


def _shape(network: Network) -> AutoencoderConfig:
    config = network.config
    assert isinstance(config, AutoencoderConfig)
    return config
