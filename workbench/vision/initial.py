"""A fresh network from a seed, drawn on the host."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.model_files.abstract import abstract
from workbench.vision.networks import ConvNet, NetworkConfig, build


def new(config: NetworkConfig, *, seed: int = 0, dtype: Any = jnp.float32) -> ConvNet:
    """An untrained network: kernels normal, norms one, biases zero.

    The spread is He's by fan out, and 0.02 where layers are normed as ConvNeXt's; the same weights
    on every platform.

    Args:
        config: its table.
        seed: same seed, same weights.
        dtype: computed in.

    Raises:
        ValueError: a table that cannot be built.
    """
    model = abstract(build, config, dtype=dtype)
    starts = {
        path: getattr(module, "spread", None) or getattr(module, "initial_gamma", None)
        for path, module in nnx.iter_graph(model)
        if isinstance(module, nnx.Module)
    }
    graph, state = nnx.split(model)
    paths, tree = jax.tree_util.tree_flatten_with_path(state)
    rng = np.random.default_rng(seed)
    leaves = []
    for path, leaf in paths:
        *owner, kind = (step.key for step in path[:-1])
        start = starts[tuple(owner)]
        if kind == "kernel":
            value = np.float32(start) * rng.standard_normal(leaf.shape, np.float32)
        else:
            filled = {"scale": 1.0, "running_var": 1.0, "gamma": start}.get(kind, 0.0)
            value = np.full(leaf.shape, filled, np.float32)
        leaves.append(jnp.asarray(value))
    found: ConvNet = nnx.merge(graph, jax.tree_util.tree_unflatten(tree, leaves))
    return found
