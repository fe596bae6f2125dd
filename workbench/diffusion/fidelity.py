"""Fidelity: how far an accelerated run strays from the full run of the same seed.

All need no pretrained network. Images are float in [0, 1], so the data range R is 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Images = Float[np.ndarray, "N H W C"]
Latents = Float[np.ndarray, "N S H W C"]

PSNR_CEILING = 99.0
SSIM_WINDOW = 11


def psnr(images: Images, reference: Images) -> Float[np.ndarray, " N"]:
    """Peak signal-to-noise ratio, 10 log10(R² / MSE) with R = 1 [dB].

    Equal images have none; they are given 99 dB so that means stay finite.
    """
    error = np.mean((images - reference) ** 2, axis=(1, 2, 3))
    floor = 10 ** (-PSNR_CEILING / 10)
    return -10 * np.log10(np.maximum(error, floor))


def ssim(images: Images, reference: Images) -> Float[np.ndarray, " N"]:
    """Structural similarity: 11×11 Gaussian window, sigma 1.5, K1 0.01, K2 0.03, R = 1.

    Wang et al. 2004. Pictures smaller than the window have none.

    Raises:
        ValueError: for pictures under 11 pixels.
    """
    from skimage.metrics import structural_similarity

    if min(images.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(f"images are {images.shape[1:3]}; SSIM needs at least 11 × 11 pixels")
    settings = {
        "channel_axis": -1,
        "data_range": 1.0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    pairs = zip(images, reference, strict=True)
    return np.array([structural_similarity(a, b, **settings) for a, b in pairs])


def latent_error(
    latents: Latents, reference: Float[np.ndarray, "N R H W C"]
) -> Float[np.ndarray, "N S"]:
    """Relative error ||x_t - x*_t|| / ||x*_t|| after each step of the run.

    A run of another length is held against the full run at the same share of its way.
    """
    steps, of = latents.shape[1], reference.shape[1]
    matching = reference[:, np.maximum((np.arange(1, steps + 1) * of) // steps, 1) - 1]
    axes = (2, 3, 4)
    return np.linalg.norm(_flat(latents - matching), axis=-1) / np.maximum(
        np.sqrt(np.sum(matching**2, axis=axes)), 1e-12
    )


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:2], -1)


def radial_spectrum(images: Images) -> Float[np.ndarray, "N K"]:
    """Mean power at each spatial frequency 0 … min(H, W) / 2 [cycles per picture]."""
    power, ring, count = _power(images)
    return np.stack([power[:, ring == k].mean(axis=1) for k in range(count)], axis=1)


def _power(images: Images) -> tuple[np.ndarray, np.ndarray, int]:
    """Power of each wave, the ring of frequencies it lies on, and how many whole rings there are.

    Rings are one cycle per picture wide; beyond the last lie the corners only.
    """
    height, width = images.shape[1:3]
    power = (np.abs(np.fft.fft2(images, axes=(1, 2))) ** 2).mean(axis=3)
    radius = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width) * width)
    return power, np.rint(radius).astype(int), min(height, width) // 2 + 1


def spectrum_ratio(images: Images, reference: Images) -> Float[np.ndarray, "N K"]:
    """Power at each frequency against the full run's, 1 where equal.

    Under 1 at high frequencies means smoothing, which prior noise injection is there to repair
    (Faster Diffusion §3.4).
    """
    floor = 1e-8 * images.shape[1] * images.shape[2]
    return (radial_spectrum(images) + floor) / (radial_spectrum(reference) + floor)


def high_frequency_ratio(images: Images, reference: Images) -> Float[np.ndarray, " N"]:
    """Power of all waves in the upper half of frequencies against the full run's."""
    floor = 1e-8 * images.shape[1] * images.shape[2]
    return (_upper_power(images) + floor) / (_upper_power(reference) + floor)


def _upper_power(images: Images) -> Float[np.ndarray, " N"]:
    power, ring, count = _power(images)
    return power[:, (ring >= count // 2) & (ring < count)].sum(axis=1)
