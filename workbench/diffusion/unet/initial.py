"""A fresh UNet from a seed, without compiling one random-number program per parameter shape."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.diffusion.unet.config import UNetConfig
from workbench.diffusion.unet.model import UNet2DCondition
from workbench.model_files.abstract import abstract


def new_unet(config: UNetConfig, *, seed: int = 0, dtype: Any = jnp.float32) -> UNet2DCondition:
    """An untrained UNet: kernels uniform within 1 / sqrt(fan in), norms one, biases zero.

    The distribution is that of `UNet2DCondition(config, rngs=...)`, drawn on the host: the same
    on every platform, and seconds faster for a small model.

    Args:
        config: shape.
        seed: same seed, same weights.
        dtype: what it computes in.
    """
    graph, state = nnx.split(abstract(UNet2DCondition, config, dtype=dtype))
    paths, tree = jax.tree_util.tree_flatten_with_path(state)
    rng = np.random.default_rng(seed)
    leaves = []
    for path, leaf in paths:
        kind = path[-2].key
        if kind == "kernel":
            limit = 1 / math.sqrt(math.prod(leaf.shape[:-1]))
            value = rng.uniform(-limit, limit, leaf.shape).astype(np.float32)
        else:
            value = np.full(leaf.shape, 1.0 if kind == "scale" else 0.0, np.float32)
        leaves.append(jnp.asarray(value))
    return nnx.merge(graph, jax.tree_util.tree_unflatten(tree, leaves))
