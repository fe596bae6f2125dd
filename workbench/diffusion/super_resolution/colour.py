"""Colours of the input on the restored picture (Huang & Belongie 2017, AdaIN, eq. 8)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-5
"""Added to a variance before its root."""


def colour_matched(
    picture: Float[Array, "B H W C"], like: Float[Array, "B h w C"]
) -> Float[Array, "B H W C"]:
    """σ(like) (picture - μ(picture)) / σ(picture) + μ(like), for each picture and colour.

    Args:
        picture: whose forms are kept.
        like: whose means and spreads are taken; of any size.
    """
    mean, spread = _moments(picture)
    wanted_mean, wanted_spread = _moments(like)
    return (picture - mean) / spread * wanted_spread + wanted_mean


def _moments(x: Array) -> tuple[Array, Array]:
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    return mean, jnp.sqrt(jnp.var(x, axis=(1, 2), keepdims=True) + EPSILON)
