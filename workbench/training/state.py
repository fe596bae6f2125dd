"""The state of a run and the one update that moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from workbench.training.accumulation import accumulated
from workbench.training.recipe import Recipe
from workbench.training.schedules import adamw, learning_rate
from workbench.training.task import PyTree, Task

FAULT = "_fault"  # name under which the scalars of an update carry `State.fault`


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything the next update depends on.

    `step` counts finished updates; `key` seeds every step by `fold_in(key, step)`, so there is no
    random state to lose; `fault` is 0, or the first update whose loss was not finite, or minus the
    first whose gradient was not. Fields are any pytree, because the same class also holds shapes
    and shardings while JAX maps over it.
    """

    step: PyTree
    params: PyTree
    ema: PyTree
    opt_state: PyTree
    key: PyTree
    fault: PyTree


def optimizer_of(task: Task, recipe: Recipe) -> optax.GradientTransformation:
    """The task's own optimiser where it has one, otherwise the recipe's AdamW."""
    own = getattr(task, "optimizer", None)
    inner = own(recipe) if own is not None else adamw(recipe)

    # optax itself mixes int32 counters with floats (decay ** count); our strictness stops at its
    # door.
    def init(params: PyTree) -> PyTree:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return inner.init(params)

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return inner.update(gradients, state, params)

    return optax.GradientTransformation(init, update)


def initial_state(task: Task, recipe: Recipe) -> State:
    """Weights, averages and moments before the first update.

    Raises:
        TypeError: a leaf of the weights is not a floating array.
    """
    init_key, step_key = jax.random.split(jax.random.key(recipe.seed))
    params = task.init(init_key)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(
                f"{type(task).__name__}.init: leaf {jax.tree_util.keystr(path)} is "
                f"{jnp.result_type(leaf)}; every leaf must be a floating array (keep counters and "
                "random state out of the weights)"
            )
    # Copied, because the loop donates its buffers and the caller may still hold these.
    params = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params)
    ema = None
    if recipe.ema_decay is not None:
        ema = jax.tree.map(lambda leaf: jnp.array(leaf, _average_dtype(leaf), copy=True), params)
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=ema,
        opt_state=optimizer_of(task, recipe).init(params),
        key=step_key,
        fault=jnp.zeros((), jnp.int32),
    )


def make_update(
    task: Task, recipe: Recipe
) -> Callable[[State, PyTree], tuple[State, dict[str, Array]]]:
    """One update as a pure function `(state, batch) -> (state, scalars)`.

    The average follows `ema <- d ema + (1 - d) params` with `d = min(decay, (1 + t) / (10 + t))`,
    so that a short run is not held back by its first weights.
    """
    optimizer = optimizer_of(task, recipe)
    rate = learning_rate(recipe)
    gradient_of = jax.value_and_grad(_checked_loss(task), has_aux=True)
    if recipe.accumulation > 1:
        gradient_of = accumulated(task, gradient_of, recipe.accumulation)

    def update(state: State, batch: PyTree) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(state.key, state.step)
        (loss, metrics), gradients = gradient_of(state.params, batch, key)
        norm = optax.tree.norm(gradients)
        changes, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, changes)
        step = state.step + 1
        ema = state.ema
        if recipe.ema_decay is not None:
            t = step.astype(jnp.float32)
            decay = jnp.minimum(recipe.ema_decay, (1 + t) / (10 + t))
            ema = jax.tree.map(lambda mean, leaf: _averaged(mean, leaf, decay), ema, params)
        fault = jnp.where(jnp.isfinite(norm), 0, -step)
        fault = jnp.where(jnp.isfinite(loss), fault, step)
        moved = State(
            step=step,
            params=params,
            ema=ema,
            opt_state=opt_state,
            key=state.key,
            fault=jnp.where(state.fault == 0, fault, state.fault),
        )
        logged = {
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": rate(state.step),
            **metrics,
            FAULT: moved.fault,
        }
        return moved, logged

    return update


def _checked_loss(task: Task) -> Callable[..., tuple[Array, dict[str, Array]]]:
    def loss_of(params: PyTree, batch: PyTree, key: Array) -> tuple[Array, dict[str, Array]]:
        name = f"{type(task).__name__}.loss"
        answer: Any = task.loss(params, batch, key)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
            raise TypeError(f"{name}: must return (loss, metrics), a scalar and a dict of scalars")
        loss, metrics = answer
        for key_, value in {"loss": loss, **metrics}.items():
            if jnp.shape(value) != ():
                raise ValueError(f"{name}: {key_} has shape {jnp.shape(value)}; must be a scalar")
        return loss, metrics

    return loss_of


def _average_dtype(leaf: Array) -> Any:
    """Averages of half-precision weights are kept in float32, or they would stop moving."""
    return jnp.float32 if leaf.dtype.itemsize < 4 else leaf.dtype


def _averaged(mean: Array, leaf: Array, decay: Array) -> Array:
    share = (1 - decay).astype(mean.dtype)
    return mean + share * (leaf.astype(mean.dtype) - mean)
