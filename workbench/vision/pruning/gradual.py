"""Pruning while a network trains: masks that grow sparser, kept in the optimizer's state.

Zhu & Gupta 2017 (arXiv 1710.01878), section 3: every few updates the smallest weights of each layer
are dropped until the schedule's share is zero, and weights that were dropped stay zero between.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int32

from workbench.model_files import keys
from workbench.vision.pruning.masking import Arrays
from workbench.vision.pruning.schedule import CubicSchedule
from workbench.vision.pruning.structures import Structure


@dataclass(frozen=True)
class GradualPruning:
    """Masks that grow sparser while a network trains, for a training step under `jit`.

    Args:
        structure: what is pruned together.
        schedule: how sparse at which step; its final share should be the structure's own.
    """

    structure: Structure
    schedule: CubicSchedule

    def begin(self, weights: Arrays) -> dict[str, Array]:
        """Masks that keep everything, by layer."""
        return {name: jnp.ones(kernel.shape, bool) for name, kernel in weights.items()}

    def refreshed(self, step: Any, weights: Arrays, kept: Arrays) -> dict[str, Array]:
        """The masks of a step: new ones where the schedule says so, else those there are.

        Args:
            step: a whole number, which may be traced.
            weights: kernels by layer, dense or already masked.
            kept: the masks so far.
        """

        def anew(_: Any) -> dict[str, Array]:
            share = self.schedule.sparsity(step)
            return {name: self.structure.mask(weights[name], share) for name in kept}

        return jax.lax.cond(self.schedule.due(step), anew, lambda _: dict(kept), None)


class Masked(NamedTuple):
    """State of `pruning_optimizer`: the inner one's, updates done, and which weights stay."""

    inner: Any
    step: Int32[Array, ""]
    kept: dict[str, Array]


def pruning_optimizer(
    inner: optax.GradientTransformation, pruning: GradualPruning, layers: Collection[str]
) -> optax.GradientTransformation:
    """An optimizer after each of whose updates the dropped weights are zero.

    A dropped weight has no gradient: behind a batch norm that sees nothing but zeros it would be
    huge, and clipping by the global norm would leave the others none. It stays zero until masks are
    made anew, when it is among the smallest.

    Args:
        inner: moves the weights.
        pruning: how sparse at which update.
        layers: names of those that are pruned, as `prunable` gives them.
    """

    def init(params: Any) -> Masked:
        masks = pruning.begin(_kernels(params, layers))
        return Masked(inner.init(params), jnp.zeros((), jnp.int32), masks)

    def update(gradients: Any, state: Masked, params: Any = None) -> tuple[Any, Masked]:
        kept = pruning.refreshed(state.step, _kernels(params, layers), state.kept)

        def where_kept(path: Any, value: Array, dropped: Array) -> Array:
            name = _layer(path)
            return value if name not in kept else jnp.where(kept[name], value, dropped)

        nothing, gone = (jax.tree.map(way, params) for way in (jnp.zeros_like, jnp.negative))
        gradients = jax.tree_util.tree_map_with_path(where_kept, gradients, nothing)
        updates, moved = inner.update(gradients, state.inner, params)
        updates = jax.tree_util.tree_map_with_path(where_kept, updates, gone)
        return updates, Masked(moved, state.step + 1, kept)

    return optax.GradientTransformation(init, update)


def _kernels(params: Any, layers: Collection[str]) -> dict[str, Array]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {name: leaf for path, leaf in leaves if (name := _layer(path)) in layers}


def _layer(path: Any) -> str:
    """The layer whose kernel a path leads to; nothing for another parameter."""
    *owner, leaf = map(str, keys.names(path))
    return ".".join(owner) if leaf == "kernel" else ""
