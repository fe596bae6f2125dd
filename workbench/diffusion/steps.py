"""What one sampling step is made of: its data, guidance, and the sampler's update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.schedulers import Schedule
from workbench.diffusion.schedulers import step as sampler_step

AHEAD = 2
"""Pieces of work handed to the device beyond the last that is known to be finished."""


class Carry(NamedTuple):
    """What a step hands to the next: the sample, and the clean image the sampler predicted."""

    x: Float[Array, "B H W C"]
    clean: Float[Array, "B H W C"]


class Rows(NamedTuple):
    """The data of K steps, on the host until a compiled step takes them.

    Args:
        timestep: what the UNet is told.
        coefficients: the sampler's numbers.
        injection: share of the first noise added before the sampler's update.
    """

    timestep: Float[Array | np.ndarray, " K"]
    coefficients: Float[Array | np.ndarray, "K 10"]
    injection: Float[Array | np.ndarray, " K"]

    def take(self, steps: tuple[int, ...]) -> Rows:
        """The rows of consecutive steps."""
        return Rows(*(value[steps[0] : steps[-1] + 1] for value in self))


class Conditions(NamedTuple):
    """What stays fixed over a run.

    Args:
        context: what attention reads; with guidance the blank rows first, then the asked ones.
        guidance: g in e_u + g (e_c - e_u), or None for a single pass.
        first_noise: x_T, for prior noise injection.
        keys: random keys for samplers that draw noise, or None for those that do not.
        added: pooled text and sizes in the context's order, where the UNet takes them.
    """

    context: Float[Array, "P T D"]
    guidance: Float[Array, ""] | None
    first_noise: Float[Array, "B H W C"]
    keys: Array | None
    added: Any = None


def run_rows(pipeline: Pipeline, schedule: Schedule) -> Rows:
    """The whole run's data, as host arrays: slicing them launches nothing on the device."""
    timesteps = np.asarray(schedule.timesteps, np.float32)
    trained = pipeline.scheduler.num_train_timesteps
    late = timesteps / trained < 0.5
    injection = np.where(late, pipeline.plan.injection, 0.0).astype(np.float32)
    return Rows(timesteps, np.asarray(schedule.table), injection)


def run_conditions(pipeline: Pipeline, inputs: Inputs, noisy: bool) -> Conditions:
    """What stays fixed over a run; `noisy` where the sampler draws noise on the way."""
    keys = inputs.keys if noisy else None
    if pipeline.passes == 1:
        return Conditions(inputs.context, None, inputs.noise, keys, inputs.added)
    context, added = jax.tree.map(
        lambda *both: jnp.concatenate(both),
        (inputs.blank, inputs.blank_added),
        (inputs.context, inputs.added),
    )
    return Conditions(context, jnp.float32(pipeline.guidance), inputs.noise, keys, added)


def keep_pace(made: Sequence[Array]) -> None:
    """Wait until the device is at most `AHEAD` pieces behind what was handed to it.

    Calls return before the work is done: without a wait, progress runs to its end at once on an
    accelerator, and a stop waits for everything. One piece runs while the next is handed over, so
    the device never waits.
    """
    if len(made) > AHEAD:
        jax.block_until_ready(made[-1 - AHEAD])


def passes(x: Float[Array, "B H W C"], fixed: Conditions) -> Float[Array, "P H W C"]:
    """The sample once per UNet pass."""
    return x if fixed.guidance is None else jnp.concatenate([x, x])


def guided(output: Float[Array, "P H W C"], fixed: Conditions) -> Float[Array, "B H W C"]:
    """e_u + g (e_c - e_u) (Ho and Salimans 2022)."""
    if fixed.guidance is None:
        return output
    blank, asked = jnp.split(output, 2)
    return blank + fixed.guidance * (asked - blank)


def updates(
    carry: Carry, outputs: Float[Array, "K B H W C"], rows: Rows, fixed: Conditions
) -> tuple[Carry, Float[Array, "K B H W C"]]:
    """The sampler's K updates, one after the other, and the sample after each."""

    def update(carry: Carry, item: tuple[Array, Rows]) -> tuple[Carry, Array]:
        output, row = item
        x = carry.x + row.injection * fixed.first_noise
        noise = None
        if fixed.keys is not None:
            step = row.timestep.astype(jnp.int32)
            keys = jax.vmap(lambda key: jax.random.fold_in(key, step))(fixed.keys)
            noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:]))(keys)
        carry = Carry(*sampler_step(jnp.asarray(row.coefficients), x, output, carry.clean, noise))
        return carry, carry.x

    return jax.lax.scan(update, carry, (outputs, rows))
