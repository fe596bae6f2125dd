"""Variational score distillation of a one-step network, on patches the teacher knows the size of.

Wang et al. 2023 (VSD, section 3) in the form TVT trains with (Yi et al. 2025, arXiv 2507.20291):
a latent of the 4x autoencoder is cut into patches as large as the latents the 8x teacher was
trained on. The teacher here reads no text, so nothing is guided.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from workbench.diffusion.schedulers import DDIM

SCHEDULER = DDIM(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
)
"""The noise of Stable Diffusion."""
TIMES = (0.25, 0.75)
"""Share of the timesteps between which the two scores are compared."""


def patches(latent: Float[Array, "B H W C"], size: int) -> Float[Array, "P s s C"]:
    """Squares of `size` without overlap, row by row within each latent.

    Raises:
        ValueError: a size that does not divide the latent's.
    """
    batch, height, width, channels = latent.shape
    if height % size or width % size:
        raise ValueError(
            f"latents of {height}×{width} cannot be cut into the teacher's {size}×{size}"
        )
    rows, columns = height // size, width // size
    cut = latent.reshape(batch, rows, size, columns, size, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, size, size, channels)


def score_difference(
    z: Float[Array, "P s s C"], real: Float[Array, "P s s C"], fake: Float[Array, "P s s C"]
) -> Float[Array, ""]:
    """mean (z - stop(z - g))², g = (x̂_fake - x̂_real) / mean |z - x̂_real|, each patch apart.

    Its gradient by z is 2 g over the number of values (Yin et al. 2024, DMD, eq. 7 and 8).

    Args:
        z: patches the network made.
        real, fake: what the teacher and the score of the network's own results make of their noisy
            forms.
    """
    scale = jnp.mean(jnp.abs(z - real), axis=(1, 2, 3), keepdims=True)
    gradient = (fake - real) / jnp.maximum(scale, 1e-6)
    return jnp.mean((z - jax.lax.stop_gradient(z - gradient)) ** 2)


def clean(
    noisy: Float[Array, "P s s C"], noise: Float[Array, "P s s C"], t: Int[Array, " P"]
) -> Float[Array, "P s s C"]:
    """(x_t - sqrt(1 - ᾱ_t) ε) / sqrt(ᾱ_t): the latent that predicted noise leaves."""
    abar = jnp.asarray(SCHEDULER.abar, noisy.dtype)[t][:, None, None, None]
    return (noisy - jnp.sqrt(1 - abar) * noise) / jnp.sqrt(abar)


def distilled(
    z: Float[Array, "B H W C"], teacher: Any, fake: Any, size: int, key: Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The distillation loss of a network's latents, and the loss of the score that follows them.

    Args:
        z: what the network made; the first loss alone moves it.
        teacher, fake: the two predictors of noise, `f(x, t)`; the second loss alone moves the
            second.
        size: of the teacher's latents.
        key: noise and timesteps.
    """
    cut = patches(z, size)
    total = SCHEDULER.num_train_timesteps
    keys = jax.random.split(key, 4)
    low, high = (round(share * total) for share in TIMES)
    t = jax.random.randint(keys[0], (len(cut),), low, high + 1)
    noisy = SCHEDULER.add_noise(cut, jax.random.normal(keys[1], cut.shape), t)
    noisy = jax.lax.stop_gradient(noisy)
    real, own = (
        jax.lax.stop_gradient(clean(noisy, predictor(noisy, t), t)) for predictor in (teacher, fake)
    )
    first = score_difference(cut, real, own)
    still = jax.lax.stop_gradient(cut)
    t = jax.random.randint(keys[2], (len(cut),), 0, total)
    noise = jax.random.normal(keys[3], cut.shape)
    second = jnp.mean((fake(SCHEDULER.add_noise(still, noise, t), t) - noise) ** 2)
    return first, second
