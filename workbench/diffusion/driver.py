"""The driver: runs any plan on any sampler; every method and the baseline go through it.

Each distinct piece of work is compiled once, with timesteps, sampler coefficients and guidance as
data: moving key steps, changing the sampler or the number of steps compiles nothing. The loop over
steps stays in Python, where it can be watched and stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from workbench import home, lowered_once
from workbench.diffusion.costs import Config, abstract_unet
from workbench.diffusion.images import decode_images
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.plan import Action, Plan, matching
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
from workbench.diffusion.switching import Stage, stages
from workbench.diffusion.unet.program import OUTPUT
from workbench.model_files.precision import FLOAT32, Precision
from workbench.products import by_eigen
from workbench.progress import Report, silent

Weights = tuple[Array, ...]
Kept = dict[str, Any]
"""Values of a full step by name, as `UNet2DCondition.run` takes them."""


def sample(
    pipeline: Pipeline,
    inputs: Inputs,
    report: Report = silent,
    preview: Callable[[np.ndarray], Any] | None = None,
) -> dict[str, np.ndarray]:
    """Pictures and the samples after every step, on the host.

    Args:
        pipeline: what runs.
        inputs: what it starts from.
        report: progress of the steps, then of decoding.
        preview: makes of the sample [B, H, W, C] so far what `report` shows with it, such as
            `images.LatentColours`; waits for the step it shows.

    Returns:
        ``image`` [B, H, W, C] in [0, 1], decoded where the pipeline has a VAE, and ``latents``
        [B, S, H, W, C], the samples.

    Raises:
        Cancelled: from `report`, between two pieces of work.
    """
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows, fixed = run_rows(pipeline, schedule), run_conditions(pipeline, inputs)
    carry, steps = first_carry(inputs, schedule), pipeline.plan.steps
    trail: list[Array] = []

    def told(step: int) -> None:
        keep_pace(trail)
        if preview is None or not trail:
            report(step, steps, "sampling")
        else:
            report(step, steps, "sampling", preview(np.asarray(trail[-1][-1])))

    for stage in stages(pipeline):
        conditions = fixed
        if pipeline.reuse_text and stage.plan.steps > 1:
            network = stage.pipeline
            text = programs(network.config, network.precision).text
            conditions = fixed._replace(context=text(network.weights, fixed.context))
        carry = _follow(stage, carry, rows, conditions, trail, told)
    report(steps, steps, "sampling")
    return finished(pipeline, trail, report)


def _follow(
    stage: Stage,
    carry: Carry,
    rows: Rows,
    fixed: Conditions,
    trail: list[Array],
    told: Callable[[int], None],
) -> Carry:
    """The steps of one network, whose samples are added to `trail`."""
    network, plan = stage.pipeline, stage.plan
    work = programs(network.config, network.precision)
    weights, reused = network.weights, reused_names(network.config, plan)
    kept: Kept = {}
    for run in plan.batches:
        at = tuple(stage.first + step for step in run)
        told(at[0])
        part, action = rows.take(at), plan.actions[run[0]]
        if action in ("shallow", "inherit"):
            given = {name: kept[name] for name in reused[action]}
            carry, made = work.reuse(weights, carry, part, fixed, given)
        elif action == "full" and plan.reused_from(run[-1]) != {"decode"} and len(run) == 1:
            wanted = kept_names(plan, run[0], reused)
            carry, made, kept = work.full(wanted, weights, carry, part, fixed)
        else:
            if action == "full":
                # The key step's row alone: the encoder compiles once, whatever the group's size.
                kept = work.encode(weights, carry.x, rows.take(at[:1]), fixed)
            features = {name: kept[name] for name in reused["decode"]}
            carry, made = work.decode(weights, carry, part, fixed, features)
        trail.append(made)
    return carry


class Programs:
    """The compiled pieces of work of one UNet form, each made when it is first needed.

    What an earlier process traced and lowered is read, not traced again (`lowered_once`). Weights
    come as a flat tuple: flattening a module on every call would cost a millisecond.
    """

    def __init__(self, config: Config, precision: Precision):
        home.keep_compiled()
        self.config, self.precision = config, precision
        options = by_eigen(precision.compute)
        jit = partial(lowered_once.jit, of=(config, precision), compiler_options=options)
        self.text, self.encode, self.decode = jit(self._text), jit(self._encode), jit(self._decode)
        self.full = jit(self._full, static_argnums=0)
        self.reuse = jit(self._reuse)

    @cached_property
    def unet(self) -> Callable[[Weights], Any]:
        """The model of its weights; only tracing needs it."""
        graph, state = nnx.split(abstract_unet(self.config, self.precision))
        treedef = jax.tree.structure(state)
        return lambda weights: nnx.merge(graph, jax.tree.unflatten(treedef, weights))

    def _text(self, weights: Weights, text: Array) -> Kept:
        """Keys and values of a text, for every step of a run."""
        found: Kept = self.unet(weights).text_keys_values(text)
        return found

    def _full(
        self,
        wanted: tuple[str, ...],
        weights: Weights,
        carry: Carry,
        rows: Rows,
        fixed: Conditions,
    ) -> tuple[Carry, Array, Kept]:
        """A whole UNet pass, and of it the named values that later steps reuse."""
        x, t = passes(carry.x, rows, fixed), rows.timestep[0]
        unet = self.unet(weights)
        found = unet.run(x, t, fixed.context, wanted=(OUTPUT, *wanted), added=fixed.added)
        kept = {name: found[name] for name in wanted}
        return *updates(carry, guided(found[OUTPUT], fixed)[None], rows, fixed), kept

    def _reuse(
        self, weights: Weights, carry: Carry, rows: Rows, fixed: Conditions, given: Kept
    ) -> tuple[Carry, Array]:
        """What does not depend on the values kept from the last full step alone."""
        x, t = passes(carry.x, rows, fixed), rows.timestep[0]
        unet = self.unet(weights)
        output = unet.run(x, t, fixed.context, given=given, added=fixed.added)[OUTPUT]
        return updates(carry, guided(output, fixed)[None], rows, fixed)

    def _encode(self, weights: Weights, x: Array, rows: Rows, fixed: Conditions) -> Kept:
        """Encoder and middle block at a key step."""
        unet = self.unet(weights)
        given = (passes(x, rows, fixed), rows.timestep[0], fixed.context)
        return unet.run(*given, wanted=unet.encoder_outputs, added=fixed.added)

    def _decode(
        self, weights: Weights, carry: Carry, rows: Rows, fixed: Conditions, kept: Kept
    ) -> tuple[Carry, Array]:
        """Decoder passes of K steps as one batch, then their K sampler updates."""
        steps, passes = rows.timestep.shape[0], jax.tree.leaves(kept)[0].shape[0]
        tile = partial(jax.tree.map, partial(_tiled, times=steps))
        timesteps = jnp.repeat(rows.timestep, passes)
        given, context, added = tile(kept), tile(fixed.context), tile(fixed.added)
        unet = self.unet(weights)
        output = unet.run(None, timesteps, context, given=given, added=added)[OUTPUT]
        grouped = output.reshape(steps, passes, *output.shape[1:])
        outputs = jax.vmap(lambda value: guided(value, fixed))(grouped)
        return updates(carry, outputs, rows, fixed)


def reused_names(config: Config, plan: Plan) -> dict[Action, tuple[str, ...]]:
    """The values each kind of reusing step takes from the last full one.

    Raises:
        ValueError: a branch or a name the UNet does not have.
    """
    unet = abstract_unet(config)
    found: dict[Action, tuple[str, ...]] = {}
    if "decode" in plan.actions:
        found["decode"] = unet.encoder_outputs
    if "shallow" in plan.actions:
        found["shallow"] = (unet.branch_name(plan.branch),)
    if "inherit" in plan.actions:
        known = (*unet.program.blocks, *unet.layer_names(), *unet.unit_names())
        found["inherit"] = matching(plan.inherited, known)
    return found


def kept_names(plan: Plan, step: int, reused: Mapping[Action, Sequence[str]]) -> tuple[str, ...]:
    """What a full step keeps for the steps up to the next one, each name once."""
    kinds = (action for action in reused if action in plan.reused_from(step))
    return tuple(dict.fromkeys(name for action in kinds for name in reused[action]))


def programs(config: Config, precision: Precision = FLOAT32) -> Programs:
    """The programs of a UNet form; pipelines of one form share them."""
    return _programs(config, precision)


_programs = cache(Programs)


def _tiled(value: Array, times: int) -> Array:
    """The whole batch `times` times over."""
    return jnp.tile(value, (times, *(1 for _ in value.shape[1:])))


def finished(pipeline: Pipeline, trail: list[Array], report: Report) -> dict[str, np.ndarray]:
    """Pictures and samples of a run, from the samples after each piece of its work."""
    # On the host: as a program it would compile anew for every way a plan groups its steps.
    latents = np.moveaxis(np.concatenate([np.asarray(made) for made in trail]), 0, 1)
    if pipeline.vae is None:
        return {"image": np.clip((latents[:, -1] + 1) / 2, 0, 1), "latents": latents}
    return {"image": decode_images(pipeline.vae, latents[:, -1], report), "latents": latents}
