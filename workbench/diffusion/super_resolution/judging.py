"""What is measured of a trained arm: quality on held-out pictures, and seconds a picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from workbench.diffusion.super_resolution.metrics import quality
from workbench.diffusion.super_resolution.networks import Network, reconstructed
from workbench.diffusion.super_resolution.pictures import Pictures, enlarged_again
from workbench.diffusion.super_resolution.restorer import Restorer
from workbench.diffusion.super_resolution.verdict import RECONSTRUCTION, RESTORATION
from workbench.measure import timing


def reconstruction_rows(network: Network, pictures: Pictures) -> list[dict[str, Any]]:
    """A row a kind: pictures through an autoencoder and back."""

    @jax.jit
    def run(weights: Any, x: Array) -> Array:
        return reconstructed(Network(network.config, weights), x)

    return [
        {
            "task": RECONSTRUCTION,
            "kind": held_out.kind,
            **quality(
                _unit(run(network.weights, _signed(held_out.sharp))),
                held_out.sharp,
                held_out.glyphs,
            ),
        }
        for held_out in pictures.held_out
    ]


def restoration_rows(restorer: Restorer, pictures: Pictures) -> list[dict[str, Any]]:
    """A row a kind: degraded pictures, restored."""
    return [
        {
            "task": RESTORATION,
            "kind": held_out.kind,
            **quality(restorer.restored(held_out.low), held_out.sharp, held_out.glyphs),
        }
        for held_out in pictures.held_out
    ]


def bicubic_rows(pictures: Pictures) -> list[dict[str, Any]]:
    """A row a kind: degraded pictures, only enlarged."""
    return [
        {
            "task": RESTORATION,
            "kind": held_out.kind,
            **quality(enlarged_again(held_out.low), held_out.sharp, held_out.glyphs),
        }
        for held_out in pictures.held_out
    ]


def seconds_a_picture(
    restorers: Mapping[str, Restorer], pictures: Pictures, repeats: int = 5
) -> dict[str, dict[str, float]]:
    """Median wall time of one small picture restored, arms in turn; least and most beside it.

    Args:
        restorers: by arm.
        pictures: the first held-out one is restored.
        repeats: rounds.
    """
    low = pictures.held_out[0].low[:1]
    found = timing.interleaved(
        {arm: partial(one.restored, low) for arm, one in restorers.items()},
        repeats=repeats,
        min_time=0.05,
    )
    return {
        arm: {"seconds": one.median, "low": one.low, "high": one.high} for arm, one in found.items()
    }


def _signed(values: np.ndarray) -> Array:
    return jnp.asarray(2 * values - 1, jnp.float32)


def _unit(values: Any) -> np.ndarray:
    return np.clip((np.asarray(values) + 1) / 2, 0, 1)
