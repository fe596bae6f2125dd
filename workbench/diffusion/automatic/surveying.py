"""Measuring a `Survey`: two full runs on the search seeds, and a clock."""

from __future__ import annotations

import datetime
from collections import deque
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.arithmetic import UnitCosts
from workbench.diffusion.automatic.evidence import timed_by
from workbench.diffusion.automatic.reuse import LARGEST_GROUP, Reuse, candidates
from workbench.diffusion.automatic.room import groups
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.costs import abstract_unet, unit_costs
from workbench.diffusion.drift import drift
from workbench.diffusion.driver import Kept, Programs, programs, reused_names
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.steps import (
    Carry,
    Conditions,
    Rows,
    first_carry,
    guided,
    passes,
    run_conditions,
    run_rows,
    updates,
)
from workbench.diffusion.unet.program import OUTPUT
from workbench.measure import device
from workbench.measure.timing import interleaved
from workbench.products import by_eigen
from workbench.progress import Report, part, silent

AGES = (1, 2, 4, 8)
REPEATS = 3
MOST_MEASURED = 25
"""Steps of a long run at which damage is measured, about, besides the first ones."""
PARTS = 3


def survey(pipeline: Pipeline, seeds: tuple[int, ...], report: Report = silent) -> Survey:
    """Measure a pipeline that samples in full, as many pictures together as there is room for.

    Raises:
        Cancelled: from `report`, between steps.
    """
    costs = unit_costs(pipeline.shape)
    each = [pipeline.inputs(group) for group in _together(pipeline, seeds)]
    layers = tuple(node.name for node in costs.nodes if node.units)
    blocks = abstract_unet(pipeline.config).block_names()
    names = (*blocks, *layers)

    def first(i: int) -> Report:
        return part(part(report, 0, PARTS), i, len(each))

    def second(i: int) -> Report:
        return part(part(report, 1, PARTS), i, len(each))

    found = [drift(pipeline, one, first(i), names).relative for i, one in enumerate(each)]
    relative = dict(zip(names, np.mean(found, axis=0), strict=True))
    moved = {name: float(np.nanmean(relative[name])) for name in layers}
    reuses = candidates(costs, moved)
    damages = [damage(pipeline, one, reuses, second(i)) for i, one in enumerate(each)]
    return Survey(
        steps=pipeline.steps,
        reuses=reuses,
        ages=AGES,
        damage=np.mean(damages, axis=0),
        gain=gain(pipeline),
        seconds=seconds(pipeline, each[0], reuses, part(report, 2, PARTS)),
        macs=(costs.full.macs, *(reuse.cost(costs).macs for reuse in reuses)),
        moved=moved,
        drift={b: [_known(v) for v in relative[b]] for b in blocks},
        seeds=seeds,
        **_clock(),
    )


def timed_again(pipeline: Pipeline, found: Survey, report: Report = silent) -> Survey:
    """The same survey with the seconds of now.

    Raises:
        Cancelled: from `report`.
    """
    inputs = pipeline.inputs(_together(pipeline, found.seeds)[0])
    return replace(found, seconds=seconds(pipeline, inputs, found.reuses, report), **_clock())


def _clock() -> dict[str, Any]:
    """Where and when seconds are measured."""
    here = device.describe()
    today = datetime.date.today().isoformat()
    return {"device": here.label(), "processor": timed_by(here), "date": today}


def _together(pipeline: Pipeline, seeds: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Seeds in groups that there is room for at once."""
    return groups(seeds, _kept_bytes(unit_costs(pipeline.shape)) * pipeline.passes)


def _kept_bytes(costs: UnitCosts) -> int:
    """Bytes of all values that may be kept, of one pass, over the steps they are kept for."""
    values = costs.feature_bytes + sum(costs.branch_bytes)
    return (max(AGES) + 1) * (values + sum(node.bytes for node in costs.nodes))


def damage(
    pipeline: Pipeline, inputs: Inputs, reuses: tuple[Reuse, ...], report: Report = silent
) -> Float[np.ndarray, "A S G"]:
    """||guided output under reuse - guided output|| / ||final sample||, on the full trajectory."""
    work = programs(pipeline.config, pipeline.precision)
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows, fixed = run_rows(pipeline, schedule), _conditions(work, pipeline, inputs)
    reads = [_reads(pipeline, reuse) for reuse in reuses]
    wanted = tuple(dict.fromkeys(name for names in reads for name in names))
    stride = max(1, pipeline.steps // MOST_MEASURED)
    observe, change = _observed(work)
    carry, before = first_carry(inputs, schedule), deque[Kept](maxlen=max(AGES))
    found: list[list[Any]] = []
    for step in range(pipeline.steps):
        report(step, pipeline.steps, "measuring what reuse changes")
        now = (pipeline.weights, carry, rows.take((step,)), fixed)
        carry, output, kept = observe(wanted, *now)
        row = []
        looked = step < max(AGES) or step % stride == 0
        for names in reads:
            for age in AGES:
                if age > len(before) or not looked:
                    row.append(np.full(len(inputs.noise), np.nan))
                    continue
                given = {name: before[-age][name] for name in names}
                row.append(change(*now, given, output))
        found.append(jax.device_get(row))
        before.append(kept)
    size = np.sqrt(np.sum(np.square(np.asarray(carry.x)), axis=(1, 2, 3)))
    values = np.asarray(found).reshape(pipeline.steps, len(reuses), len(AGES), -1) / size
    report(pipeline.steps, pipeline.steps, "measuring what reuse changes")
    return np.moveaxis(values.mean(axis=-1), 1, 0)


def gain(pipeline: Pipeline) -> Float[np.ndarray, " S"]:
    """|d final sample / d output| at each step, the model's own answer left out.

    The sampler is linear in the outputs, so its own update says it on numbers in place of pictures.
    """
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows = run_rows(pipeline, schedule)
    steps, small = pipeline.steps, 1e-3
    nothing = jnp.zeros((steps, 1, 1, 1))
    keys = jax.vmap(jax.random.key)(np.arange(steps, dtype=np.uint32))
    fixed = Conditions(nothing[..., 0], None, nothing, keys)
    table = np.array(rows.coefficients)
    rows = rows._replace(coefficients=_without_noise(table))
    one_each = small * jnp.eye(steps)[:, :, None, None, None]
    start = first_carry(pipeline.inputs((0,))._replace(noise=nothing), schedule)
    carry, _ = jax.jit(updates)(start, one_each, rows, fixed)
    return np.abs(np.asarray(carry.x)[:, 0, 0, 0] / small).astype(float)


def _without_noise(table: np.ndarray) -> np.ndarray:
    from workbench.diffusion.schedulers import Row

    table = table.copy()
    table[:, Row._fields.index("noise")] = 0
    return table


def seconds(
    pipeline: Pipeline, inputs: Inputs, reuses: tuple[Reuse, ...], report: Report = silent
) -> tuple[float, ...]:
    """Fastest of a few repeats of one step of each kind, the full one first, by turns."""
    work = programs(pipeline.config, pipeline.precision)
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows, fixed = run_rows(pipeline, schedule), _conditions(work, pipeline, inputs)
    carry, weights = first_carry(inputs, schedule), pipeline.weights
    reads = [_reads(pipeline, reuse) for reuse in reuses]
    wanted = tuple(dict.fromkeys(name for names in reads for name in names))
    kept = work.full(wanted, weights, carry, rows.take((0,)), fixed)[2]
    group = min(LARGEST_GROUP, pipeline.steps)
    group = 1 << (group.bit_length() - 1)
    thunks = {"full": partial(work.full, (), weights, carry, rows.take((0,)), fixed)}
    for place, (reuse, names) in enumerate(zip(reuses, reads, strict=True)):
        given = {name: kept[name] for name in names}
        if reuse.action == "decode":
            run = partial(work.decode, weights, carry, rows.take(tuple(range(group))), fixed, given)
        else:
            run = partial(work.reuse, weights, carry, rows.take((0,)), fixed, given)
        thunks[str(place)] = run
    timed = interleaved(thunks, repeats=REPEATS, report=_noted(report, "timing each kind of step"))
    shares = [1.0, *(group if reuse.action == "decode" else 1.0 for reuse in reuses)]
    return tuple(timed[name].low / n for name, n in zip(thunks, shares, strict=True))


def _noted(report: Report, note: str) -> Report:
    words = note

    def noted(done: int, total: int, note: str = "", preview: Any = None) -> None:
        report(done, total, words)

    return noted


def _reads(pipeline: Pipeline, reuse: Reuse) -> tuple[str, ...]:
    return reused_names(pipeline.config, reuse.plan())[reuse.action]


def _conditions(work: Programs, pipeline: Pipeline, inputs: Inputs) -> Conditions:
    fixed = run_conditions(pipeline, inputs)
    if not pipeline.reuse_text:
        return fixed
    return fixed._replace(context=work.text(pipeline.weights, fixed.context))


@cache
def _observed(work: Programs) -> tuple[Any, Any]:
    """A full step that also gives its output and named values; how far reuse moves an output."""

    def observe(
        wanted: tuple[str, ...],
        weights: tuple[Array, ...],
        carry: Carry,
        row: Rows,
        fixed: Conditions,
    ) -> tuple[Carry, Array, Kept]:
        x, t = passes(carry.x, row, fixed), row.timestep[0]
        unet = work.unet(weights)
        found = unet.run(x, t, fixed.context, wanted=(OUTPUT, *wanted), added=fixed.added)
        output = guided(found[OUTPUT], fixed)
        carry, _ = updates(carry, output[None], row, fixed)
        return carry, output, {name: found[name] for name in wanted}

    def change(
        weights: tuple[Array, ...],
        carry: Carry,
        row: Rows,
        fixed: Conditions,
        given: Kept,
        output: Array,
    ) -> Array:
        x, t = passes(carry.x, row, fixed), row.timestep[0]
        unet = work.unet(weights)
        found = unet.run(x, t, fixed.context, given=given, added=fixed.added)[OUTPUT]
        return jnp.sqrt(jnp.sum((guided(found, fixed) - output) ** 2, axis=(1, 2, 3)))

    jit = partial(jax.jit, compiler_options=by_eigen(work.precision.compute))
    return jit(observe, static_argnums=0), jit(change)


def _known(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
