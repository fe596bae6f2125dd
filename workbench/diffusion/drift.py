"""Drift: how far each block's features move from one sampling step to the next.

It shows why reuse works: encoder features hardly move between neighbouring steps, decoder features
do (Faster Diffusion, arXiv 2312.09608, §3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.costs import Config, abstract_unet
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.steps import (
    Carry,
    Conditions,
    Rows,
    first_carry,
    guided,
    keep_pace,
    passes,
    run_conditions,
    run_rows,
    updates,
)
from workbench.diffusion.unet.program import OUTPUT
from workbench.model_files.precision import Precision
from workbench.products import by_eigen
from workbench.progress import Report, silent


@dataclass(frozen=True)
class Drift:
    """Change of every block at every step of a full run; step 0 has no step before it (NaN).

    Args:
        relative: ||F_t - F_{t-1}|| / ||F_{t-1}||.
        normalised: ||F_t - F_{t-1}||² / (channels · height · width), the paper's measure, a mean
            over pictures.
    """

    blocks: tuple[str, ...]
    relative: Float[np.ndarray, "N S"]
    normalised: Float[np.ndarray, "N S"]


def drift(
    pipeline: Pipeline,
    inputs: Inputs,
    report: Report = silent,
    names: tuple[str, ...] | None = None,
) -> Drift:
    """Measure drift over a full run of the pipeline's sampler.

    Args:
        pipeline: what runs.
        inputs: what it starts from.
        report: progress.
        names: whose values are watched (`UNet2DCondition.run`); every block's when None.

    Raises:
        Cancelled: from `report`, between steps.
    """
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows = run_rows(pipeline, schedule)
    fixed = run_conditions(pipeline, inputs)
    blocks = abstract_unet(pipeline.config).block_names() if names is None else names
    step = _observed(pipeline.config, pipeline.precision, blocks)
    carry, before = first_carry(inputs, schedule), None
    moved: list[Array] = []
    for i in range(pipeline.steps):
        keep_pace(moved)
        report(i, pipeline.steps, "measuring drift")
        carry, features = step(pipeline.weights, carry, rows.take((i,)), fixed)
        if before is not None:
            moved.append(_moves(features, before))
        before = features
    report(pipeline.steps, pipeline.steps, "measuring drift")
    values = np.full((2, len(blocks), pipeline.steps), np.nan)
    if moved:
        values[:, :, 1:] = np.stack([np.asarray(move) for move in moved], axis=-1)
    return Drift(blocks, values[0], values[1])


@cache
def _observed(config: Config, precision: Precision, names: tuple[str, ...]) -> Any:
    """A full step that also returns the last value of every name."""
    graph, state = nnx.split(abstract_unet(config, precision))
    treedef = jax.tree.structure(state)

    @partial(jax.jit, compiler_options=by_eigen(precision.compute))
    def step(
        weights: tuple[Array, ...], carry: Carry, row: Rows, fixed: Conditions
    ) -> tuple[Carry, list[Array]]:
        unet = nnx.merge(graph, jax.tree.unflatten(treedef, weights))
        given = (passes(carry.x, row, fixed), row.timestep[0], fixed.context)
        found = unet.run(*given, wanted=(OUTPUT, *names), added=fixed.added)
        carry, _ = updates(carry, guided(found[OUTPUT], fixed)[None], row, fixed)
        last = [found[name] for name in names]
        return carry, [value[-1] if isinstance(value, tuple) else value for value in last]

    return step


@jax.jit
def _moves(features: list[Array], before: list[Array]) -> Float[Array, "2 N"]:
    """Relative and normalised change of each block, means over pictures."""

    def move(now: Array, then: Array) -> Float[Array, 2]:
        axes = tuple(range(1, now.ndim))
        squares = jnp.sum((now - then) ** 2, axis=axes)
        size = jnp.sqrt(jnp.sum(then**2, axis=axes))
        relative = jnp.mean(jnp.sqrt(squares) / jnp.maximum(size, 1e-12))
        return jnp.stack([relative, jnp.mean(squares) / np.prod(now.shape[1:]).item()])

    return jnp.stack([move(*pair) for pair in zip(features, before, strict=True)], axis=1)
