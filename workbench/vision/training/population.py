"""Statistics that batch norms take at inference, of the finished weights (Ioffe & Szegedy 2015).

A training step follows its batch's statistics, which belong to weights that have moved on since,
and averaged weights never had any. So they are taken once the weights are final, as algorithm 2,
lines 8 to 11 say: the mean over batches of their means, and of their variances without bias.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.datasets import Images, batch_indices
from workbench.vision.networks import ConvNet
from workbench.vision.norms import MOMENTUM
from workbench.vision.training.pictures import normalised

BATCH, BATCHES = 64, 32
"""Pictures of a batch, and batches at most."""


def with_population_statistics(model: ConvNet, pictures: Images, *, seed: int = 0) -> ConvNet:
    """A copy of the network whose running statistics are those of pictures, as they are.

    Args:
        model: with its final weights; one without batch norms comes back as it is.
        pictures: those it was trained on.
        seed: which of them, and in which batches.

    Cost: a forward pass over at most 2,048 pictures.
    """
    parts: Any = nnx.split(model, nnx.BatchStat, ...)
    graph, statistics, rest = parts
    if not jax.tree.leaves(statistics):
        return model
    size = min(BATCH, len(pictures))
    count = min(BATCHES, -(-len(pictures) // size))
    none = jax.tree.map(jnp.zeros_like, statistics)
    total = none
    for step in range(count):
        x = normalised(
            pictures.images[batch_indices(len(pictures), size, seed, step)], model.config
        )
        total = jax.tree.map(jnp.add, total, _of_batch(graph, none, rest, x))
    mean = jax.tree.map(lambda value: value / count, total)
    found: ConvNet = nnx.merge(graph, mean, rest)
    return found


@functools.partial(jax.jit, static_argnums=0)
def _of_batch(graph: Any, none: Any, rest: Any, x: Float[Array, "B H W C"]) -> Any:
    """A batch's means and variances, by layer: from zero, a step leaves MOMENTUM times them."""
    model = nnx.merge(graph, none, rest)
    modules: list[Any] = [node for _, node in nnx.iter_graph(model) if isinstance(node, nnx.Module)]
    for module in modules:
        if getattr(module, "drop", 0.0):  # branches stay whole, as at inference
            module.drop = 0.0
    model(x, nnx.Rngs(0))
    return jax.tree.map(lambda value: value / MOMENTUM, nnx.state(model, nnx.BatchStat))
