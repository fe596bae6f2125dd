"""Multiply-adds of encoding, one step and decoding, and of an update of a training task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from workbench.diffusion.super_resolution.networks import shapes
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.vae import AutoencoderConfig
from workbench.measure.macs import count

TOKENS = 77
"""Of a text, where the UNet reads one."""


@dataclass(frozen=True)
class PictureCost:
    """Multiply-adds of one picture.

    Attributes:
        encoder, unet, decoder: of each part, attention's two products counted.
    """

    encoder: float
    unet: float
    decoder: float

    @property
    def total(self) -> float:
        """All three."""
        return self.encoder + self.unet + self.decoder


@cache
def picture_cost(
    vae: AutoencoderConfig, unet: UNetConfig | None, height: int, width: int
) -> PictureCost:
    """Of a picture of this size, untiled; without a UNet a round trip through the autoencoder.

    Raises:
        ValueError: a size the networks cannot divide.
    """
    stride = vae.stride * (1 if unet is None else unet.stride)
    if height % stride or width % stride:
        raise ValueError(f"a picture of {width}×{height}: both must be multiples of {stride}")
    rows, columns = height // vae.stride, width // vae.stride
    picture = jax.ShapeDtypeStruct((1, height, width, vae.in_channels), jnp.float32)
    latent = jax.ShapeDtypeStruct((1, rows, columns, vae.latent_channels), jnp.float32)
    network = shapes(vae)

    def encode(weights: Any, x: Any) -> Any:
        return network.model(weights).encode(x)

    def decode(weights: Any, z: Any) -> Any:
        return network.model(weights).decode(z)

    return PictureCost(
        float(count(encode, network.weights, picture, weights=0).total),
        0.0 if unet is None else _unet(unet, latent),
        float(count(decode, network.weights, latent, weights=0).total),
    )


def update_macs(task: Any) -> float:
    """Of one update of a task, gradient included, from shapes alone.

    Args:
        task: its `init`, `loss` and first batch are read.
    """
    key = jax.random.key(0)
    params = jax.eval_shape(task.init, key)
    batch = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, task.batch(0)))

    def gradient(params: Any, batch: Any, key: Any) -> Any:
        return jax.value_and_grad(task.loss, has_aux=True)(params, batch, key)

    return float(count(gradient, params, batch, key).total)


def _unet(config: UNetConfig, latent: Any) -> float:
    network = shapes(config)
    text = jax.ShapeDtypeStruct((1, TOKENS, config.cross_attention_dim), jnp.float32)

    def step(weights: Any, z: Any, text: Any) -> Any:
        return network.model(weights)(z, 1.0, text)

    return float(count(step, network.weights, latent, text, weights=0).total)
