"""Learning-rate schedules and the optimiser a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from workbench.training.recipe import Recipe


def learning_rate(recipe: Recipe) -> Callable[[Any], Float[Array, ""]]:
    """The rate at update `t` (0 for the first), as a traceable function.

    Warm-up is `(t + 1) / warmup`. After it, with `p` the finished share of what is left and `f` the
    final fraction: constant `1`; linear `1 - (1 - f) p`; cosine `f + (1 - f) (1 + cos(pi p)) / 2`
    (Loshchilov & Hutter 2017, eq. 5); wsd `1` until the last `decay_fraction` of the run, then
    linear to `f` (Hu et al. 2024, §4); two_stage linear from `1` to `first_final_fraction` at the
    switch, then linear from `second_peak_fraction` to `f`: two peaks and two ends, as ternary
    models are trained (Ma et al. 2025, arXiv 2504.12285, §2.2, which gives no shape; lines are
    ours).

    Args:
        recipe: gives peak, warm-up, length and shape.
    """
    end, start, final = recipe.steps, recipe.warmup, recipe.final_fraction
    decay_start = max(end * (1 - recipe.decay_fraction), float(start))

    def rate(step: Any) -> Float[Array, ""]:
        t = jnp.asarray(step).astype(jnp.float32)
        p = jnp.clip((t - start) / (end - start), 0.0, 1.0)
        if recipe.schedule == "constant":
            scale = jnp.ones(())
        elif recipe.schedule == "linear":
            scale = 1 - (1 - final) * p
        elif recipe.schedule == "cosine":
            scale = final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * p))
        elif recipe.schedule == "two_stage":
            scale = _two_stage(recipe, t)
        else:
            q = jnp.clip((t - decay_start) / max(end - decay_start, 1.0), 0.0, 1.0)
            scale = 1 - (1 - final) * q
        if recipe.warmup:
            scale = jnp.where(t < recipe.warmup, (t + 1) / recipe.warmup, scale)
        return recipe.learning_rate * scale

    return rate


def _two_stage(recipe: Recipe, t: Float[Array, ""]) -> Float[Array, ""]:
    switch, first, second = recipe.switch, recipe.first_final_fraction, recipe.second_peak_fraction
    p = jnp.clip((t - recipe.warmup) / (switch - recipe.warmup), 0.0, 1.0)
    q = jnp.clip((t - switch) / (recipe.steps - switch), 0.0, 1.0)
    early = 1 - (1 - first) * p
    late = second - (second - recipe.final_fraction) * q
    return jnp.where(t < switch, early, late)


def weight_decay(recipe: Recipe) -> float | Callable[[Any], Float[Array, ""]]:
    """The decay, or where the second stage has another, the decay at update `t`."""
    first, second = recipe.weight_decay, recipe.second_weight_decay
    if second is None:
        return first

    def decay(step: Any) -> Float[Array, ""]:
        return jnp.where(jnp.asarray(step) < recipe.switch, first, second)

    return decay


def adamw(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW after global-norm clipping; biases, gains and other vectors are not decayed.

    Args:
        recipe: gives moments, decay, clipping and schedule.
    """
    clip = optax.identity()
    if recipe.clip_norm is not None:
        clip = optax.clip_by_global_norm(recipe.clip_norm)
    return optax.chain(
        clip,
        optax.adamw(
            learning_rate(recipe),
            b1=recipe.betas[0],
            b2=recipe.betas[1],
            eps=recipe.epsilon,
            weight_decay=weight_decay(recipe),
            mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim >= 2, params),
        ),
    )
