"""The compiled steps of TaylorSeer: one in full, one forecast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from workbench import home
from workbench.diffusion.costs import Config, abstract_unet
from workbench.diffusion.dit.cached_sampling import compute_dtype, hidden_shape, model_of
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.steps import Carry, Conditions, Rows, guided, passes, updates
from workbench.diffusion.unet.program import OUTPUT
from workbench.model_files.precision import Precision
from workbench.products import by_eigen


class Differences(NamedTuple):
    """Finite differences per step of every unit's value, at the last full step.

    Args:
        values: by unit; the value itself, its first difference, and so on.
        known: how many of them there have been full steps enough for.
    """

    values: dict[str, Float[Array, "K P T D"]]
    known: Int[Array, ""]


@dataclass(frozen=True)
class Taylor:
    """The rule of `TaylorSeer`; a `Cache`.

    Args:
        full_steps: rising, from 0.
        order: of the highest difference kept.
    """

    full_steps: tuple[int, ...]
    order: int

    def empty(self, pipeline: Pipeline, pictures: int) -> Differences:
        """Nothing is known before the first full step."""
        shape = (self.order + 1, *hidden_shape(pipeline, pictures))
        units = abstract_unet(pipeline.config).unit_names()
        zeros = jnp.zeros(shape, compute_dtype(pipeline))
        return Differences(dict.fromkeys(units, zeros), jnp.zeros((), jnp.int32))

    def step(
        self,
        pipeline: Pipeline,
        i: int,
        carry: Carry,
        row: Rows,
        fixed: Conditions,
        memory: Differences,
    ) -> tuple[Carry, Array, Differences, bool]:
        """A full step where step i is one, a forecast where it is not."""
        full, forecast = _taylor_steps(pipeline.config, pipeline.precision)
        before = [j for j in self.full_steps if j < i]
        if i in self.full_steps:
            distance = np.float32(i - before[-1] if before else 1)
            return *full(pipeline.weights, carry, row, fixed, memory, distance), True
        ahead = i - before[-1]
        weights = [ahead**k / math.factorial(k) for k in range(self.order + 1)]
        series = np.asarray(weights, np.float32)
        return *forecast(pipeline.weights, carry, row, fixed, memory, series), memory, False


def differenced(
    value: Float[Array, "P T D"],
    earlier: Float[Array, "K P T D"],
    known: Int[Array, ""],
    distance: Float[Array, ""],
) -> Float[Array, "K P T D"]:
    """The value and its differences per step, from those at the full step before.

    D_0 = F;  D_{i+1} = (D_i - D_i before) / distance (section 3.3, eq. 3), zero where not known.
    """
    found = [value]
    for i in range(earlier.shape[0] - 1):
        difference = (found[i] - earlier[i]) / distance.astype(value.dtype)
        found.append(jnp.where(known > i, difference, jnp.zeros_like(value)))
    return jnp.stack(found)


@cache
def _taylor_steps(config: Config, precision: Precision) -> tuple[Any, Any]:
    home.keep_compiled()
    model = model_of(config, precision)

    @partial(jax.jit, compiler_options=by_eigen(precision.compute))
    def full(
        weights: tuple[Array, ...],
        carry: Carry,
        row: Rows,
        fixed: Conditions,
        memory: Differences,
        distance: Float[Array, ""],
    ) -> tuple[Carry, Array, Differences]:
        dit, x = model(weights), passes(carry.x, row, fixed)
        units = tuple(memory.values)
        found = dit.run(x, row.timestep[0], fixed.context, wanted=(OUTPUT, *units))
        values = {
            unit: differenced(found[unit], memory.values[unit], memory.known, distance)
            for unit in units
        }
        carry, made = updates(carry, guided(found[OUTPUT], fixed)[None], row, fixed)
        return carry, made, Differences(values, memory.known + 1)

    @partial(jax.jit, compiler_options=by_eigen(precision.compute))
    def forecast(
        weights: tuple[Array, ...],
        carry: Carry,
        row: Rows,
        fixed: Conditions,
        memory: Differences,
        series: Float[Array, " K"],
    ) -> tuple[Carry, Array]:
        dit, x = model(weights), passes(carry.x, row, fixed)
        given = {
            unit: jnp.einsum("k,kptd->ptd", series.astype(value.dtype), value)
            for unit, value in memory.values.items()
        }
        output = dit.run(x, row.timestep[0], fixed.context, given=given)[OUTPUT]
        return updates(carry, guided(output, fixed)[None], row, fixed)

    return full, forecast
