"""Whether a new autoencoder's latents are still those of the old one; the checks are ours.

Both are asked for the same pictures on the same grid: the 8x encoder of the picture enlarged twice,
the 4x encoder of the picture itself. Then each decoder reads the other's latents.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.super_resolution.autoencoding import check_teacher, teacher_latent
from workbench.diffusion.super_resolution.metrics import psnr_y
from workbench.diffusion.super_resolution.networks import Network
from workbench.diffusion.super_resolution.resizing import enlarged
from workbench.diffusion.vae import AutoencoderConfig


@dataclass(frozen=True)
class LatentSpace:
    """How two latent spaces compare.

    Attributes:
        correlation: of values at the same place and channel, mean over channels.
        mean_shift: largest difference of a channel's means, over the old one's spread.
        spread_ratio: new spread over old, the channel furthest from 1.
        relative_error: |z_new - z_old| over |z_old - mean|.
        own: PSNR-Y of the new autoencoder on its own latents [dB].
        new_decoder_old_latents: of the new decoder on the old encoder's [dB].
        old_decoder_new_latents: of the old decoder on the new encoder's [dB]; its picture is
            compared at its size, with the enlarged original.
        old_decoder_own_latents: the same of the old encoder's, what the last is measured against.
    """

    correlation: float
    mean_shift: float
    spread_ratio: float
    relative_error: float
    own: float
    new_decoder_old_latents: float
    old_decoder_new_latents: float
    old_decoder_own_latents: float

    def as_row(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def compared(old: Network, new: Network, pictures: Float[np.ndarray, "N H W 3"]) -> LatentSpace:
    """Latents of both autoencoders, and what each decoder makes of the other's.

    Args:
        old: the 8x autoencoder.
        new: of a stride that divides it, in the same space.
        pictures: in [0, 1].

    Raises:
        ValueError: forms whose latents cannot be compared.
    """
    assert isinstance(new.config, AutoencoderConfig)
    check_teacher(old, new.config)
    signed = jnp.asarray(2 * np.asarray(pictures, np.float32) - 1)
    theirs, ours, decodings = _run(old, new, signed)
    a, b = (np.asarray(z, np.float64).reshape(-1, z.shape[-1]) for z in (theirs, ours))
    spread_a, spread_b = a.std(0), b.std(0)
    centred = ((a - a.mean(0)) * (b - b.mean(0))).mean(0)
    ratios = spread_b / spread_a
    small, large = np.asarray(signed), np.asarray(decodings["large"])
    return LatentSpace(
        correlation=float(np.mean(centred / np.maximum(spread_a * spread_b, 1e-12))),
        mean_shift=float(np.max(np.abs(a.mean(0) - b.mean(0)) / spread_a)),
        spread_ratio=float(ratios[np.argmax(np.abs(np.log(ratios)))]),
        relative_error=float(np.linalg.norm(a - b) / np.linalg.norm(a - a.mean(0))),
        own=_decibel(decodings["own"], small),
        new_decoder_old_latents=_decibel(decodings["new of old"], small),
        old_decoder_new_latents=_decibel(decodings["old of new"], large),
        old_decoder_own_latents=_decibel(decodings["old of old"], large),
    )


def _run(old: Network, new: Network, signed: Array) -> tuple[Array, Array, dict[str, Any]]:
    """Both latents on the new grid, and four decodings with the enlarged picture."""
    assert isinstance(old.config, AutoencoderConfig) and isinstance(new.config, AutoencoderConfig)
    ratio, stride = old.config.stride // new.config.stride, new.config.stride

    @jax.jit
    def run(old_weights: Any, new_weights: Any, x: Array) -> tuple[Array, Array, dict[str, Any]]:
        before, after = Network(old.config, old_weights), new.model(new_weights)
        theirs, ours = teacher_latent(before, stride, x, "picture"), after.encode(x).mean
        decoder = before.model()
        return (
            theirs,
            ours,
            {
                "own": after.decode(ours),
                "new of old": after.decode(theirs),
                "old of new": decoder.decode(ours),
                "old of old": decoder.decode(theirs),
                "large": enlarged(x, ratio) if ratio > 1 else x,
            },
        )

    return run(old.weights, new.weights, signed)


def _decibel(found: Any, wanted: np.ndarray) -> float:
    def unit(x: Any) -> np.ndarray:
        return np.clip((np.asarray(x) + 1) / 2, 0, 1)

    return float(np.mean(psnr_y(unit(found), unit(wanted))))
