"""One-step super-resolution of pictures of any size: enlarged, encoded, cleaned, decoded by tiles.

The tiles are TVT's (Yi et al. 2025): 96 latents a side, 32 shared with each neighbour. What a tile
holds bounds the memory; norms see a tile where untiled they would see the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.checkpoint import load_unet, load_vae
from workbench.diffusion.super_resolution.colour import colour_matched
from workbench.diffusion.super_resolution.degrading import SCALE
from workbench.diffusion.super_resolution.forms import LEAST_SIDE
from workbench.diffusion.super_resolution.networks import Network
from workbench.diffusion.super_resolution.pictures import enlarged_again
from workbench.diffusion.super_resolution.restoring import cleaned
from workbench.diffusion.super_resolution.tiles import by_tiles
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.vae import AutoencoderConfig
from workbench.products import by_eigen
from workbench.progress import Report, part, silent

TILE, OVERLAP = 96, 32
"""Latents of a tile's side, and how many neighbours share."""


VAE, UNET = "vae", "unet"
"""Folders of a restorer's networks, in the layout of diffusers."""
FOUR, EIGHT = "4x", "8x"
"""Folders of the two restorers that the training command writes."""


@dataclass(frozen=True, eq=False)
class Restorer:
    """An autoencoder and a one-step UNet over its latents.

    Attributes:
        vae: encodes and decodes.
        unet: reads its latents.
        tile: latents of a tile's side.
        overlap: latents that neighbours share.
        match: whether the result takes the colours of the input (AdaIN).
        context: [T, D], the text that a UNet which attends reads; None for one that does not.

    Raises:
        ValueError: networks that do not fit each other, or tiles the UNet cannot halve so often.
    """

    vae: Network
    unet: Network
    tile: int = TILE
    overlap: int = OVERLAP
    match: bool = True
    context: Any = None

    def __post_init__(self) -> None:
        vae, unet = self.vae.config, self.unet.config
        if not isinstance(vae, AutoencoderConfig) or not isinstance(unet, UNetConfig):
            raise ValueError("a restorer needs an autoencoder and a UNet, in this order")
        if unet.in_channels != vae.latent_channels:
            raise ValueError(
                f"unet reads {unet.in_channels} channels; the autoencoder's latents have "
                f"{vae.latent_channels}"
            )
        kinds = (*unet.down_block_types, *unet.up_block_types, str(unet.mid_block_type))
        attends = any("CrossAttn" in kind for kind in kinds)
        if attends and np.shape(self.context)[1:] != (unet.cross_attention_dim,):
            raise ValueError(
                f"context has shape {np.shape(self.context)}; the UNet attends to one of "
                f"[T, {unet.cross_attention_dim}]"
            )
        if self.tile % unet.stride or not 0 <= self.overlap < self.tile:
            raise ValueError(
                f"tile={self.tile} with overlap={self.overlap}: needed a multiple of "
                f"{unet.stride}, the UNet's, and an overlap below it"
            )

    @property
    def multiple(self) -> int:
        """Pixels that width and height of a small picture must be multiples of."""
        vae, unet = self.vae.config, self.unet.config
        assert isinstance(vae, AutoencoderConfig)
        return max(1, vae.stride * unet.stride // SCALE)

    def restored(
        self, low: Float[np.ndarray, "B h w 3"], report: Report = silent
    ) -> Float[np.ndarray, "B H W 3"]:
        """Pictures four times as large.

        Args:
            low: small pictures in [0, 1].
            report: progress by tiles of the three parts.

        Returns:
            float32 in [0, 1].

        Raises:
            ValueError: grey or tiny pictures, or sides that the networks cannot divide.
            Cancelled: from `report`, between tiles.
        """
        self._check(low)
        vae = self.vae.config
        assert isinstance(vae, AutoencoderConfig)
        large = 2 * enlarged_again(np.asarray(low, np.float32)) - 1
        size, shared = self.tile * vae.stride, self.overlap * vae.stride
        encode, clean, decode = self._programs
        z = by_tiles(encode, large, size, shared, scale=1 / vae.stride, report=part(report, 0, 3))
        z = by_tiles(clean, z, self.tile, self.overlap, report=part(report, 1, 3))
        found = by_tiles(
            decode, z, self.tile, self.overlap, scale=vae.stride, report=part(report, 2, 3)
        )
        if self.match:
            found = np.concatenate(
                [
                    np.asarray(colour_matched(jnp.asarray(a[None]), jnp.asarray(b[None])))
                    for a, b in zip(found, large, strict=True)
                ]
            )
        return np.clip((found + 1) / 2, 0, 1)

    @cached_property
    def _programs(self) -> tuple[Callable[[Any], Any], ...]:
        """Encoder, one step and decoder; weights are arguments, not constants of the program."""
        vae, unet = self.vae, self.unet

        @partial(jax.jit, compiler_options=by_eigen())
        def encode(weights: Any, x: Array) -> Array:
            model = vae.model(weights)
            found: Array = model.scaled(model.encode(x).mean)
            return found

        @partial(jax.jit, compiler_options=by_eigen())
        def clean(weights: Any, z: Array) -> Array:
            return cleaned(unet.model(weights), z, self.context)

        @partial(jax.jit, compiler_options=by_eigen())
        def decode(weights: Any, z: Array) -> Array:
            model = vae.model(weights)
            found: Array = model.decode(model.unscaled(z))
            return found

        return (
            lambda x: encode(vae.weights, jnp.asarray(x)),
            lambda z: clean(unet.weights, jnp.asarray(z)),
            lambda z: decode(vae.weights, jnp.asarray(z)),
        )

    def _check(self, low: np.ndarray) -> None:
        shape = np.shape(low)
        if len(shape) != 4 or shape[-1] != 3:
            raise ValueError(f"low has shape {shape}; needed [pictures, height, width, 3], colour")
        height, width = shape[1:3]
        if min(height, width) * SCALE < LEAST_SIDE:
            raise ValueError(
                f"low is {width}×{height}; at least {LEAST_SIDE // SCALE} pixels a side"
            )
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"low is {width}×{height}; width and height must be multiples of {self.multiple}"
            )


def load_restorer(folder: str | Path, context: Any = None) -> Restorer:
    """The restorer in a folder that holds `vae` and `unet`, such as the training command's `4x`.

    Args:
        folder: of both networks.
        context: [T, D], the text that a UNet which attends reads.

    Raises:
        CheckpointError: what is missing or does not fit.
        ValueError: networks of other forms, or a UNet that attends and no context.
    """
    folder = Path(folder)
    vae, unet = load_vae(folder / VAE), load_unet(folder / UNET)
    return Restorer(Network.of(vae), Network.of(unet), context=context)
