"""The compiled step of the first-block cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from workbench import home
from workbench.diffusion.costs import Config
from workbench.diffusion.dit.cached_sampling import compute_dtype, hidden_shape, model_of
from workbench.diffusion.dit.program import PATCHES
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.steps import Carry, Conditions, Rows, guided, passes, updates
from workbench.diffusion.unet.program import OUTPUT
from workbench.model_files.precision import Precision
from workbench.products import by_eigen

FIRST = "block.0"


class Residuals(NamedTuple):
    """What the last full step left.

    Args:
        head: residual of the first block.
        tail: residual of all blocks after it, taken together.
        filled: whether there has been a full step.
    """

    head: Float[Array, "P T D"]
    tail: Float[Array, "P T D"]
    filled: Bool[Array, ""]


@dataclass(frozen=True)
class FirstBlock:
    """The rule of `FirstBlockCache`; a `Cache`."""

    threshold: float

    def empty(self, pipeline: Pipeline, pictures: int) -> Residuals:
        """Nothing yet: the first step runs in full."""
        zeros = jnp.zeros(hidden_shape(pipeline, pictures), compute_dtype(pipeline))
        return Residuals(zeros, zeros, jnp.zeros((), bool))

    def step(
        self,
        pipeline: Pipeline,
        i: int,
        carry: Carry,
        row: Rows,
        fixed: Conditions,
        memory: Residuals,
    ) -> tuple[Carry, Array, Residuals, Bool[Array, ""]]:
        """One step, which itself decides on the device whether it runs in full."""
        run = _first_block_step(pipeline.config, pipeline.precision)
        found: tuple[Carry, Array, Residuals, Array] = run(
            pipeline.weights, carry, row, fixed, memory, np.float32(self.threshold)
        )
        return found


@cache
def _first_block_step(config: Config, precision: Precision) -> Any:
    home.keep_compiled()
    model = model_of(config, precision)

    @partial(jax.jit, compiler_options=by_eigen(precision.compute))
    def step(
        weights: tuple[Array, ...],
        carry: Carry,
        row: Rows,
        fixed: Conditions,
        memory: Residuals,
        threshold: Float[Array, ""],
    ) -> tuple[Carry, Array, Residuals, Array]:
        dit, t, labels = model(weights), row.timestep[0], fixed.context
        last = dit.block_names()[-1]
        found = dit.run(passes(carry.x, row, fixed), t, labels, wanted=(PATCHES, FIRST))
        first, head = found[FIRST], found[FIRST] - found[PATCHES]
        change = jnp.mean(jnp.abs(head - memory.head)) / jnp.mean(jnp.abs(memory.head))
        # Written so that a change that is no number runs in full.
        whole = ~(memory.filled & (change.astype(jnp.float32) <= threshold))

        def run() -> tuple[Array, Residuals]:
            value = dit.run(None, t, labels, wanted=(last,), given={FIRST: first})[last]
            return value, Residuals(head, value - first, jnp.ones((), bool))

        def reuse() -> tuple[Array, Residuals]:
            return first + memory.tail, memory

        value, left = jax.lax.cond(whole, run, reuse)
        output = dit.run(None, t, labels, given={last: value})[OUTPUT]
        carry, made = updates(carry, guided(output, fixed)[None], row, fixed)
        return carry, made, left, whole

    return step
