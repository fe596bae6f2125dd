"""Latents as pictures: the VAE's decoder, and a cheap preview fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from workbench.measure.memory import available_bytes
from workbench.products import by_eigen
from workbench.progress import Report, silent

FLOAT_BYTES = 4
HELD = 6
"""Full-size feature maps held at once in the decoder's last block: what XLA plans on a CPU for
Stable Diffusion's, rounded up."""


def decode_images(
    vae: Any, latents: Float[np.ndarray, "B h w c"], report: Report = silent
) -> Float[np.ndarray, "B H W 3"]:
    """Pictures of latents as the UNet samples them, in [0, 1], on the host.

    x = (decode(unscaled(z)) + 1) / 2, clipped (Rombach et al. 2022, section 3.1). All at once
    where the memory is there, else one by one.

    Args:
        vae: `AutoencoderKL`, which computes in float32 here.
        latents: as they leave the sampler.
        report: progress, a step for each piece.

    Raises:
        Cancelled: from `report`, between two pieces.
    """
    graph, weights = nnx.split(vae)
    batch, height, width, _ = latents.shape
    free = available_bytes()
    needed = decode_bytes(vae.config, height, width)
    piece = batch if free is None or batch * needed < free // 2 else 1
    made = []
    for start in range(0, batch, piece):
        report(start, batch, "decoding")
        part = jnp.asarray(latents[start : start + piece], jnp.float32)
        made.append(np.asarray(_decoder()(graph, weights, part)))
    report(batch, batch, "decoding")
    return np.concatenate(made)


def decode_bytes(config: Any, height: int, width: int) -> int:
    """Bytes the decoder needs for one picture at about its peak, weights not counted.

    Args:
        config: the VAE's.
        height: of the latent.
        width: of the latent.
    """
    widths = config.block_out_channels
    scale = config.stride
    widest = widths[min(1, len(widths) - 1)]  # enters the last block at full size
    return HELD * widest * height * width * scale * scale * FLOAT_BYTES


@cache
def _decoder() -> Any:
    @partial(jax.jit, static_argnums=0, compiler_options=by_eigen())
    def decode(graph: Any, weights: Any, latents: Array) -> Array:
        vae = nnx.merge(graph, weights)
        return jnp.clip((vae.decode(vae.unscaled(latents)) + 1) / 2, 0, 1)

    return decode


@dataclass(frozen=True, eq=False)
class LatentColours:
    """Latents as small pictures, one pixel a position, without the VAE: rgb = z W + b.

    Args:
        matrix: W with b as its last row.
    """

    matrix: Float[np.ndarray, "C 3"]

    def __call__(self, latents: Float[np.ndarray, "B h w c"]) -> UInt8[np.ndarray, "B h w 3"]:
        """Pictures as small as the latents, 0 to 255."""
        colours = np.asarray(latents, np.float32) @ self.matrix[:-1] + self.matrix[-1]
        return np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8)

    @classmethod
    def of(cls, vae: Any, samples: int = 4, side: int = 8, seed: int = 0) -> LatentColours:
        """Least squares of the VAE's own pictures, averaged over each position, on its latents.

        The latents are smooth normal fields of unit spread, as those of pictures nearly are: fits
        colours, not detail. Cost: decodes `samples` pictures of `side` latents a side, once.
        """
        channels = vae.config.latent_channels
        coarse = np.random.default_rng(seed).normal(size=(samples, side // 4, side // 4, channels))
        latents = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2).astype(np.float32)
        pictures = decode_images(vae, latents)
        scale = pictures.shape[1] // side
        means = pictures.reshape(samples, side, scale, side, scale, 3).mean(axis=(2, 4))
        flat = latents.reshape(-1, channels)
        known = np.concatenate([flat, np.ones((len(flat), 1), np.float32)], axis=1)
        found, *_ = np.linalg.lstsq(known, means.reshape(-1, 3), rcond=None)
        return cls(found.astype(np.float32))
