"""The losses of TiUE: two guided scores compared, predicted noises held to N(0, 1), a fake score.

Li et al. 2025 (arXiv 2505.21960); the first is variational score distillation (Wang et al. 2023,
ProlificDreamer, eq. 8) with the fake score of low rank.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from workbench.diffusion.schedulers import Scheduler

TIMES = (0.02, 0.98)
"""Share of the timesteps between which the scores are compared, the paper's 20 to 980."""
BLANK = 0.1
"""Share of pictures the fake score learns under "no class"."""
PICTURES = 8
"""Pictures over which the paper sums divergences: the batch of one of its devices."""


def guided(
    unet: Any,
    x: Float[Array, "B H W C"],
    t: Int[Array, " B"],
    context: Float[Array, "B T D"],
    blank: Float[Array, "T D"],
    guidance: float,
) -> Float[Array, "B H W C"]:
    """o_u + g (o_c - o_u), both passes in one batch (Ho & Salimans 2022, eq. 6)."""
    away = jnp.broadcast_to(blank, context.shape)
    both = unet(jnp.tile(x, (2, 1, 1, 1)), jnp.tile(t, 2), jnp.concatenate([away, context]))
    free, asked = jnp.split(both, 2)
    return free + guidance * (asked - free)


def predicted_noise(
    scheduler: Scheduler,
    x: Float[Array, "B H W C"],
    output: Float[Array, "B H W C"],
    t: Int[Array, " B"],
) -> Float[Array, "B H W C"]:
    """The noise in x that a model of any prediction type says there is."""
    if scheduler.prediction_type == "epsilon":
        return output
    signal, sigma = (
        jnp.asarray(np.sqrt(share), jnp.float32)[t][:, None, None, None]
        for share in (scheduler.abar, 1 - scheduler.abar)
    )
    if scheduler.prediction_type == "sample":
        return (x - signal * output) / sigma
    return signal * output + sigma * x


def score_distillation(
    z0: Float[Array, "B H W C"],
    real: Float[Array, "B H W C"],
    fake: Float[Array, "B H W C"],
    abar: Float[Array, " B"],
) -> Float[Array, ""]:
    """½ mean (z0 - stop(z0 - g))² with g = (1 - ᾱ_t)(e_teacher - e_fake); its gradient is g / n.

    Args:
        z0: what the student made.
        real, fake: guided noise that the teacher and the fake score see in its noisy form.
        abar: ᾱ_t of each picture.
    """
    gradient = (1 - abar)[:, None, None, None] * (real - fake)
    return 0.5 * jnp.mean((z0 - jax.lax.stop_gradient(z0 - gradient)) ** 2)


def divergences(noises: Float[Array, "K B H W C"]) -> Float[Array, "K B"]:
    """KL(N(m, v) | N(0, 1)) = ½ (m² + v - 1 - ln v), m and v of each predicted noise tensor."""
    axes = (2, 3, 4)
    mean, variance = jnp.mean(noises, axes), jnp.var(noises, axes)
    return 0.5 * (mean**2 + variance - 1 - jnp.log(jnp.maximum(variance, 1e-8)))


def summed(found: Float[Array, "K B"]) -> Float[Array, ""]:
    """Divergences summed over K passes and `PICTURES` pictures, whatever the batch.

    So λ means what it means in the paper, where the sum is over a device's batch.
    """
    return PICTURES * jnp.sum(jnp.mean(found, axis=1))


def fake_score(
    scheduler: Scheduler,
    unet: Any,
    z0: Float[Array, "B H W C"],
    context: Float[Array, "B T D"],
    blank: Float[Array, "T D"],
    key: Array,
) -> Float[Array, ""]:
    """mean ᾱ_t (e(z_t) - e)², t uniform over all timesteps, a tenth of the pictures unconditioned.

    Args:
        unet: the fake score.
        z0: what the student made; this loss does not move the student.
    """
    time_key, noise_key, drop_key = jax.random.split(key, 3)
    z0 = jax.lax.stop_gradient(z0)
    t = jax.random.randint(time_key, (len(z0),), 0, scheduler.num_train_timesteps)
    noise = jax.random.normal(noise_key, z0.shape)
    dropped = jax.random.uniform(drop_key, (len(z0),)) < BLANK
    shown = jnp.where(dropped[:, None, None], jnp.broadcast_to(blank, context.shape), context)
    noisy = scheduler.add_noise(z0, noise, t)
    found = predicted_noise(scheduler, noisy, unet(noisy, t, shown), t)
    weight = jnp.asarray(scheduler.abar, jnp.float32)[t][:, None, None, None]
    return jnp.mean(weight * (found - noise) ** 2)
