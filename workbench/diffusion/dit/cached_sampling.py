"""Sampling a transformer with a cache that decides, or forecasts, what a step computes.

A plan says before the run what each step computes, and all plans share one driver. These caches
read the values of the run itself, so each brings its own compiled step; sampler, conditions and
guidance are the driver's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool

from workbench.diffusion.costs import Config, abstract_unet
from workbench.diffusion.dit.config import DiTConfig
from workbench.diffusion.driver import finished
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.steps import (
    Carry,
    Conditions,
    Rows,
    first_carry,
    keep_pace,
    run_conditions,
    run_rows,
)
from workbench.model_files.precision import Precision
from workbench.progress import Report, silent
from workbench.study.method import Problem, digest


class Cache(Protocol):
    """How a cache moves a run on by one step."""

    def empty(self, pipeline: Pipeline, pictures: int) -> Any:
        """What is remembered before the first step."""

    def step(
        self, pipeline: Pipeline, i: int, carry: Carry, row: Rows, fixed: Conditions, memory: Any
    ) -> tuple[Carry, Array, Any, Bool[Array, ""] | bool]:
        """Step i: the carry and sample after it, what is remembered, whether all was computed."""


@dataclass(frozen=True, eq=False)
class CachedPipeline:
    """A pipeline that samples with a cache."""

    pipeline: Pipeline
    cache: Cache

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def steps(self) -> int:
        return self.pipeline.steps

    @cached_property
    def fingerprint(self) -> str:
        return digest({"pipeline": self.pipeline.fingerprint, "cache": repr(self.cache)})


def sample_cached(
    artifact: CachedPipeline, inputs: Inputs, report: Report = silent
) -> dict[str, np.ndarray]:
    """Pictures and samples as `driver.sample` gives them, and which steps computed everything.

    Returns:
        ``image`` [B, H, W, C], ``latents`` [B, S, H, W, C] and ``computed`` [B, S], the same for
        all pictures of a batch.

    Raises:
        Cancelled: from `report`, between two steps.
    """
    pipeline, cache = artifact.pipeline, artifact.cache
    schedule = pipeline.scheduler.plan(pipeline.steps)
    rows, fixed = run_rows(pipeline, schedule), run_conditions(pipeline, inputs)
    carry = first_carry(inputs, schedule)
    memory = cache.empty(pipeline, len(inputs.labels))
    trail: list[Array] = []
    computed: list[Any] = []
    for i in range(pipeline.steps):
        keep_pace(trail)
        report(i, pipeline.steps, "sampling")
        row = rows.take((i,))
        carry, made, memory, whole = cache.step(pipeline, i, carry, row, fixed, memory)
        trail.append(made)
        computed.append(whole)
    report(pipeline.steps, pipeline.steps, "sampling")
    each = np.array([bool(whole) for whole in computed])
    pictures = len(inputs.labels)
    return {
        **finished(pipeline, trail, report),
        "computed": np.broadcast_to(each, (pictures, len(each))).copy(),
    }


def model_of(config: Config, precision: Precision) -> Any:
    """Makes the model of flat weights, inside a compiled step."""
    graph, state = nnx.split(abstract_unet(config, precision))
    treedef = jax.tree.structure(state)
    return lambda weights: nnx.merge(graph, jax.tree.unflatten(treedef, weights))


def hidden_shape(pipeline: Pipeline, pictures: int) -> tuple[int, int, int]:
    """Shape of a block's value: passes of all pictures, patches, channels."""
    config = pipeline.config
    assert isinstance(config, DiTConfig)
    height, width, _ = pipeline.sample_shape
    patches = (height // config.patch_size) * (width // config.patch_size)
    return pictures * pipeline.passes, patches, config.width


def compute_dtype(pipeline: Pipeline) -> np.dtype:
    """What hidden values are held in."""
    return np.dtype(pipeline.precision.compute)


def transformer_problems(subject: Any, method: str) -> list[Problem]:
    """Why a cache cannot run on a subject."""
    if not isinstance(subject, Pipeline) or not isinstance(subject.config, DiTConfig):
        text = f"{method} needs a diffusion transformer; {subject.name} is none"
        return [Problem("error", "", text)]
    if not subject.plan.is_full:
        text = f"{subject.name} follows a plan already; a plan and a cache do not stack"
        return [Problem("error", "", text)]
    return []
