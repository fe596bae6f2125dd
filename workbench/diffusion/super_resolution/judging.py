"""What is measured of a trained arm: quality on held-out pictures, and seconds a picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.super_resolution import metrics
from workbench.diffusion.super_resolution.networks import Network, reconstructed
from workbench.diffusion.super_resolution.pictures import HeldOut, Pictures, enlarged_again
from workbench.diffusion.super_resolution.restorer import Restorer
from workbench.measure import timing

RECONSTRUCTION, RESTORATION = "reconstruction", "super-resolution"


def quality(found: Float[np.ndarray, "N H W 3"], held_out: HeldOut) -> dict[str, float]:
    """Means over the pictures of a kind; those of letters only where there are some."""
    values = {
        "psnr_y": metrics.psnr_y(found, held_out.sharp),
        "ssim_y": metrics.ssim_y(found, held_out.sharp),
        "edges": metrics.edge_correlation(found, held_out.sharp),
    }
    if held_out.glyphs:
        values["characters"] = metrics.character_correlation(found, held_out.sharp, held_out.glyphs)
    return {name: float(np.nanmean(each)) for name, each in values.items()}


def reconstruction_rows(network: Network, pictures: Pictures) -> list[dict[str, Any]]:
    """A row a kind: pictures through an autoencoder and back."""

    @jax.jit
    def run(weights: Any, x: Array) -> Array:
        return reconstructed(Network(network.config, weights), x)

    return [
        {
            "task": RECONSTRUCTION,
            "kind": held_out.kind,
            **quality(_unit(run(network.weights, _signed(held_out.sharp))), held_out),
        }
        for held_out in pictures.held_out
    ]


def restoration_rows(restorer: Restorer, pictures: Pictures) -> list[dict[str, Any]]:
    """A row a kind: degraded pictures, restored."""
    return [
        {
            "task": RESTORATION,
            "kind": held_out.kind,
            **quality(restorer.restored(held_out.low), held_out),
        }
        for held_out in pictures.held_out
    ]


def bicubic_rows(pictures: Pictures) -> list[dict[str, Any]]:
    """A row a kind: degraded pictures, only enlarged."""
    return [
        {
            "task": RESTORATION,
            "kind": held_out.kind,
            **quality(enlarged_again(held_out.low), held_out),
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
