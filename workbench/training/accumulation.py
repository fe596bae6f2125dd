"""Gradients of a batch that is taken part after part, so that only one part is in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from workbench.training.task import PyTree, Task

Gradient = Callable[[PyTree, PyTree, Array], tuple[tuple[Array, dict[str, Array]], PyTree]]


def accumulated(task: Task, gradient_of: Gradient, parts: int) -> Gradient:
    """`gradient_of` with the batch in so many parts: sum_i w_i grad_i / sum_i w_i, in float32.

    `w_i` is the task's `weight(part)` where it has one, else equal: with the weights of a masked
    mean the result is the gradient of the whole batch. Part i holds every `parts`-th example from
    i on, so that a batch split over devices stays where it is. Each part has a key of its own.

    Args:
        task: may have `weight`.
        gradient_of: `jax.value_and_grad` of the loss with its metrics.
        parts: how many.
    """
    weight_of = getattr(task, "weight", None) or (lambda part: jnp.ones(()))

    def gradient(
        params: PyTree, batch: PyTree, key: Array
    ) -> tuple[tuple[Array, dict[str, Array]], PyTree]:
        keys = jax.random.split(key, parts)

        def add(total: PyTree, inputs: tuple[PyTree, Array]) -> tuple[PyTree, None]:
            part, part_key = inputs
            weight = jnp.asarray(weight_of(part)).astype(jnp.float32)
            found = gradient_of(params, part, part_key)
            weighed = jax.tree.map(lambda leaf: weight * leaf.astype(jnp.float32), found)
            return jax.tree.map(jnp.add, total, (weighed, weight)), None

        split = jax.tree_util.tree_map_with_path(
            lambda path, leaf: _split(path, leaf, parts), batch
        )
        first = jax.tree.map(lambda leaf: leaf[0], split)
        shapes = jax.eval_shape(gradient_of, params, first, key)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
        (sums, weight), _ = jax.lax.scan(add, (zeros, jnp.zeros(())), (split, keys))
        weight = jnp.where(weight > 0, weight, 1.0)
        return jax.tree.map(lambda leaf, like: (leaf / weight).astype(like.dtype), sums, shapes)

    return gradient


def _split(path: Any, leaf: Array, parts: int) -> Array:
    if leaf.ndim == 0 or leaf.shape[0] % parts:
        raise ValueError(
            f"batch{jax.tree_util.keystr(path)}: shape {leaf.shape} cannot be split into "
            f"accumulation={parts} equal parts along its first axis"
        )
    return jnp.moveaxis(leaf.reshape(leaf.shape[0] // parts, parts, *leaf.shape[1:]), 1, 0)
