"""Pictures of a network's own size as it reads them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.vision.networks import NetworkConfig


def normalised(images: Any, table: NetworkConfig) -> Float[Array, "B H W C"]:
    """(x / 255 - mean) / std, by channel.

    Args:
        images: uint8 [B, H, W, C].
        table: whose preprocessing says mean and deviation.
    """
    mean, std = (
        np.asarray(v, np.float32).reshape(1, 1, 1, -1)
        for v in (table.preprocessing.mean, table.preprocessing.std)
    )
    values = jnp.asarray(images).astype(jnp.float32)
    return values * (1 / (255 * std)) - mean / std
