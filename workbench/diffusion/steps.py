"""What one sampling step is made of: its data, guidance, and the sampler's update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.schedulers import Row, Schedule, State, model_input
from workbench.diffusion.schedulers import start as first_state
from workbench.diffusion.schedulers import step as sampler_step
from workbench.diffusion.unet.transformer import Context

NOISE = Row._fields.index("noise")

AHEAD = 2
"""Pieces of work handed to the device beyond the last that is known to be finished."""


class Carry(NamedTuple):
    """What a step hands to the next: the sample, and what the sampler remembers."""

    x: Float[Array, "B H W C"]
    state: State


class Rows(NamedTuple):
    """The data of K steps, on the host until a compiled step takes them.

    Args:
        timestep: what the UNet is told.
        coefficients: the sampler's numbers.
        injection: share of the first noise added before the sampler's update.
        draw: which of its random numbers a picture uses for the noise of this step.
    """

    timestep: Float[Array | np.ndarray, " K"]
    coefficients: Float[Array | np.ndarray, "K C"]
    injection: Float[Array | np.ndarray, " K"]
    draw: Int[Array | np.ndarray, " K"]

    def take(self, steps: tuple[int, ...]) -> Rows:
        """The rows of consecutive steps."""
        return Rows(*(value[steps[0] : steps[-1] + 1] for value in self))


for kind in (State, Carry):  # what a step that is kept lowered gives back
    jax.export.register_namedtuple_serialization(kind, serialized_name=f"workbench.{kind.__name__}")


class Conditions(NamedTuple):
    """What stays fixed over a run.

    Args:
        context: what attention reads, or its keys and values; with guidance the blank rows first,
            then the asked ones.
        guidance: g in e_u + g (e_c - e_u), or None for a single pass.
        first_noise: x_T, for prior noise injection.
        keys: one random key per picture, for samplers that draw noise.
        added: pooled text and sizes in the context's order, where the UNet takes them.
    """

    context: Context
    guidance: Float[Array, ""] | None
    first_noise: Float[Array, "B H W C"]
    keys: Array
    added: Any = None


def run_rows(pipeline: Pipeline, schedule: Schedule) -> Rows:
    """The whole run's data, as host arrays: slicing them launches nothing on the device."""
    timesteps = np.asarray(schedule.timesteps, np.float32)
    trained = pipeline.scheduler.num_train_timesteps
    injection = np.where(timesteps / trained < 0.5, pipeline.plan.injection, 0.0)
    # In a sampler's own scale of the sample, where that is not the model's.
    injection = (injection / schedule.column("input_scale")).astype(np.float32)
    draw = timesteps.astype(np.int32)
    if len(np.unique(draw)) != len(draw):
        # A timestep asked twice still draws noise of its own each time.
        draw = trained + np.arange(len(draw), dtype=np.int32)
    return Rows(timesteps, np.asarray(schedule.table), injection, draw)


def first_carry(inputs: Inputs, schedule: Schedule) -> Carry:
    """Before the first step: noise of the sampler's own size, nothing remembered."""
    return _scaled_start(inputs.noise, np.float32(schedule.start_scale))


@jax.jit
def _scaled_start(noise: Float[Array, "B H W C"], scale: Float[Array, ""]) -> Carry:
    x = scale * noise
    return Carry(x, first_state(x))


def run_conditions(pipeline: Pipeline, inputs: Inputs) -> Conditions:
    """What stays fixed over a run."""
    if pipeline.passes == 1:
        return Conditions(inputs.context, None, inputs.noise, inputs.keys, inputs.added)
    context, added = jax.tree.map(
        lambda *both: jnp.concatenate(both),
        (inputs.blank, inputs.blank_added),
        (inputs.context, inputs.added),
    )
    return Conditions(context, jnp.float32(pipeline.guidance), inputs.noise, inputs.keys, added)


def keep_pace(made: Sequence[Array]) -> None:
    """Wait until the device is at most `AHEAD` pieces behind what was handed to it.

    Calls return before the work is done: without a wait, progress runs to its end at once on an
    accelerator, and a stop waits for everything. One piece runs while the next is handed over, so
    the device never waits.
    """
    if len(made) > AHEAD:
        jax.block_until_ready(made[-1 - AHEAD])


def passes(x: Float[Array, "B H W C"], rows: Rows, fixed: Conditions) -> Float[Array, "P H W C"]:
    """What the model reads at the first of `rows`, once per pass."""
    x = model_input(jnp.asarray(rows.coefficients)[0], x)
    return x if fixed.guidance is None else jnp.concatenate([x, x])


def guided(output: Float[Array, "P H W O"], fixed: Conditions) -> Float[Array, "B H W C"]:
    """e_u + g (e_c - e_u) (Ho and Salimans 2022), without the variance some models predict too."""
    output = output[..., : fixed.first_noise.shape[-1]]
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
        x, coefficients = carry.x + row.injection * fixed.first_noise, jnp.asarray(row.coefficients)
        # A branch at run time: one program serves samplers that draw noise and those that do not.
        noise = jax.lax.cond(
            coefficients[NOISE] != 0, drawn_noise, no_noise, fixed.keys, row.draw, x
        )
        carry = Carry(*sampler_step(coefficients, x, output, carry.state, noise))
        return carry, carry.x

    return jax.lax.scan(update, carry, (outputs, rows))


def drawn_noise(
    keys: Array, draw: Int[Array, ""], x: Float[Array, "B H W C"]
) -> Float[Array, "B H W C"]:
    """Standard normal noise of one step: each picture's own, whatever company it is drawn in."""
    keys = jax.vmap(lambda key: jax.random.fold_in(key, draw))(keys)
    return jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))(keys)


def no_noise(
    keys: Array, draw: Int[Array, ""], x: Float[Array, "B H W C"]
) -> Float[Array, "B H W C"]:
    """In place of `drawn_noise` at a step that adds none."""
    return jnp.zeros_like(x)
