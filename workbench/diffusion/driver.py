"""The driver: runs any plan on any sampler; every method and the baseline go through it.

Each distinct piece of work is compiled once, with timesteps, sampler coefficients and guidance as
data: moving key steps, changing the sampler or the number of steps compiles nothing. The loop over
steps stays in Python, where it can be watched and stopped.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from workbench import home
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.steps import (
    Carry,
    Conditions,
    Rows,
    guided,
    keep_pace,
    passes,
    run_conditions,
    run_rows,
    updates,
)
from workbench.diffusion.unet import Features
from workbench.diffusion.unet.config import UNetConfig
from workbench.progress import Report, silent

Weights = tuple[Array, ...]


def sample(pipeline: Pipeline, inputs: Inputs, report: Report = silent) -> dict[str, np.ndarray]:
    """Pictures and the samples after every step, on the host.

    Returns:
        ``image`` [B, H, W, C] in [0, 1] and ``latents`` [B, S, H, W, C].

    Raises:
        Cancelled: from `report`, between two pieces of work.
    """
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows = run_rows(pipeline, schedule)
    fixed = run_conditions(pipeline, inputs, schedule.needs_noise)
    work, weights, plan = programs(pipeline.config), pipeline.weights, pipeline.plan
    carry = Carry(inputs.noise, jnp.zeros_like(inputs.noise))
    kept: Any = None
    trail: list[Array] = []
    for run in plan.batches:
        keep_pace(trail)
        report(run[0], plan.steps, "sampling")
        part, action, following = rows.take(run), plan.actions[run[0]], plan.after(run)
        if action == "shallow":
            carry, made = work.shallow(plan.branch, weights, carry, part, fixed, kept)
        elif action == "full" and following != "decode" and len(run) == 1:
            branch = plan.branch if following == "shallow" else None
            carry, made, kept = work.full(branch, weights, carry, part, fixed)
        else:
            if action == "full":
                # The key step's row alone: the encoder compiles once, whatever the group's size.
                kept = work.encode(weights, carry.x, rows.take(run[:1]), fixed)
            carry, made = work.decode(weights, carry, part, fixed, kept)
        trail.append(made)
    report(plan.steps, plan.steps, "sampling")
    return _finish(trail)


class Programs:
    """The compiled pieces of work of one UNet form, each made when it is first needed.

    Weights come as a flat tuple: flattening a module on every call would cost a millisecond.
    """

    def __init__(self, config: UNetConfig):
        home.keep_compiled()
        graph, state = nnx.split(abstract_unet(config))
        treedef = jax.tree.structure(state)
        self.unet = lambda weights: nnx.merge(graph, jax.tree.unflatten(treedef, weights))
        self.encode = jax.jit(self._encode)
        self.decode = jax.jit(self._decode)
        self.full = jax.jit(self._full, static_argnums=0)
        self.shallow = jax.jit(self._shallow, static_argnums=0)

    def _full(
        self, branch: int | None, weights: Weights, carry: Carry, rows: Rows, fixed: Conditions
    ) -> tuple[Carry, Array, Array | None]:
        """A whole UNet pass; with a branch, also what shallow steps will reuse."""
        unet = self.unet(weights)
        given = (passes(carry.x, fixed), rows.timestep[0], fixed.context)
        output, kept = (unet(*given), None) if branch is None else unet.full(*given, branch)
        return *updates(carry, guided(output, fixed)[None], rows, fixed), kept

    def _shallow(
        self,
        branch: int,
        weights: Weights,
        carry: Carry,
        rows: Rows,
        fixed: Conditions,
        kept: Array,
    ) -> tuple[Carry, Array]:
        """The outermost layers only, the rest from the last full step."""
        x = passes(carry.x, fixed)
        unet = self.unet(weights)
        output = unet.shallow(x, rows.timestep[0], fixed.context, kept, branch)
        return updates(carry, guided(output, fixed)[None], rows, fixed)

    def _encode(self, weights: Weights, x: Array, rows: Rows, fixed: Conditions) -> Features:
        """Encoder and middle block at a key step."""
        return self.unet(weights).encode(passes(x, fixed), rows.timestep[0], fixed.context)

    def _decode(
        self, weights: Weights, carry: Carry, rows: Rows, fixed: Conditions, kept: Features
    ) -> tuple[Carry, Array]:
        """Decoder passes of K steps as one batch, then their K sampler updates."""
        steps, passes = rows.timestep.shape[0], fixed.context.shape[0]
        tile = partial(_tiled, times=steps)
        timesteps = jnp.repeat(rows.timestep, passes)
        skips, mid = jax.tree.map(tile, kept)
        output = self.unet(weights).decode(skips, mid, timesteps, tile(fixed.context))
        grouped = output.reshape(steps, passes, *output.shape[1:])
        outputs = jax.vmap(lambda value: guided(value, fixed))(grouped)
        return updates(carry, outputs, rows, fixed)


@cache
def programs(config: UNetConfig) -> Programs:
    """The programs of a UNet form; pipelines of one form share them."""
    return Programs(config)


def _tiled(value: Array, times: int) -> Array:
    """The whole batch `times` times over."""
    return jnp.tile(value, (times, *(1 for _ in value.shape[1:])))


def _finish(trail: list[Array]) -> dict[str, np.ndarray]:
    # On the host: as a program it would compile anew for every way a plan groups its steps.
    latents = np.moveaxis(np.concatenate([np.asarray(made) for made in trail]), 0, 1)
    return {"image": np.clip((latents[:, -1] + 1) / 2, 0, 1), "latents": latents}
