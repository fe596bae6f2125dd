"""Distance of pictures in the features of fixed random convolutions; ours.

It stands where the papers have LPIPS, whose network is not at hand without a download. Random
features keep phase and texture apart as trained ones do, only less to a person's taste
(Ustyuzhaninov et al. 2017 draw textures with them).
"""

from __future__ import annotations

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kernels_pallas.conv2d import conv2d

WIDTHS = (8, 16, 32)
SEED = 20507


def feature_distance(
    first: Float[Array, "B H W 3"], second: Float[Array, "B H W 3"]
) -> Float[Array, ""]:
    """Mean over layers of the mean of (f - g)², features of unit length at each place.

    Zhang et al. 2018 (LPIPS), eq. 1, with equal weights and `WIDTHS` random channels at strides of
    1, 2 and 4.

    Args:
        first, second: pictures in [-1, 1].
    """
    total = jnp.zeros(())
    for stride, kernel in zip((1, 2, 2), _kernels(), strict=True):
        weights = jnp.asarray(kernel)
        first, second = (
            jax.nn.relu(conv2d(x, weights, strides=stride, padding=1)) for x in (first, second)
        )
        total = total + jnp.mean(jnp.sum((_unit(first) - _unit(second)) ** 2, axis=-1))
    return total / len(WIDTHS)


def _unit(features: Array) -> Array:
    return features * jax.lax.rsqrt(jnp.sum(features**2, axis=-1, keepdims=True) + 1e-4)


@lru_cache(maxsize=1)
def _kernels() -> tuple[np.ndarray, ...]:
    """Normal with a variance of 2 / fan in, each with a mean of zero over its window."""
    drawn, inputs, found = np.random.default_rng(SEED), 3, []
    for width in WIDTHS:
        kernel = drawn.standard_normal((3, 3, inputs, width)) * math.sqrt(2 / (9 * inputs))
        found.append((kernel - kernel.mean(axis=(0, 1, 2))).astype(np.float32))
        inputs = width
    return tuple(found)
