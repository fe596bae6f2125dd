"""What the loop needs to know of a field: weights, loss, batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array

from workbench.training.recipe import Recipe

PyTree = Any


@runtime_checkable
class Task(Protocol):
    """Something to train. `fingerprint` names its content: model, data, and everything in the loss.

    Optional, looked up by name: `evaluate(params) -> dict[str, float]`, run on the averaged weights
    where there are some; `optimizer(recipe) -> optax.GradientTransformation`, in place of AdamW;
    `with_recipe(recipe) -> Task`, the task with batches of the recipe's size and seed;
    `weight(batch)`, what the loss is a mean over, where that is not the number of examples.
    """

    @property
    def fingerprint(self) -> str: ...

    def init(self, key: Array) -> PyTree:
        """The first weights: any pytree of floating arrays, an `nnx.State` of Params included."""
        ...

    def loss(self, params: PyTree, batch: PyTree, key: Array) -> tuple[Array, dict[str, Array]]:
        """Mean loss over the batch, and scalars worth logging. Pure and traceable."""
        ...

    def batch(self, step: int) -> PyTree:
        """Examples of one update, examples first. A pure function of `step`, so resume is exact."""
        ...


@dataclass(frozen=True)
class FunctionTask:
    """A task made of plain functions, from a notebook cell for example.

    Without a fingerprint its identity is the functions' source and what they close over.
    """

    init: Callable[[Array], PyTree]
    loss: Callable[[PyTree, PyTree, Array], tuple[Array, dict[str, Array]]]
    batch: Callable[[int], PyTree]
    evaluate: Callable[[PyTree], dict[str, float]] | None = None
    fingerprint: str = ""


def drawing_as(task: Task, recipe: Recipe) -> Task:
    """The task with batches as the recipe says, where it leaves that to the recipe."""
    with_recipe = getattr(task, "with_recipe", None)
    drawing: Task = task if with_recipe is None else with_recipe(recipe)
    return drawing
