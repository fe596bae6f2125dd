"""A trained student: its weights in a pipeline, how it is sampled, what that costs, its folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from workbench.checkpoints import CheckpointError, replace_text
from workbench.diffusion.arithmetic import PartCost
from workbench.diffusion.checkpoint import save_unet
from workbench.diffusion.costs import UNetShape, abstract_unet, decode_cost, full_cost
from workbench.diffusion.digits.card import write_json
from workbench.diffusion.driver import finished, sample
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.diffusion.plan import Plan as SamplingPlan
from workbench.diffusion.schedulers import Scheduler, save_scheduler
from workbench.diffusion.students.one_pass import OnePass, one_pass, predictions
from workbench.diffusion.students.plan import Arm, Kind
from workbench.model_files.precision import Precision
from workbench.products import by_eigen
from workbench.progress import Report, silent

STUDENT = "student.json"
KINDS: tuple[Kind, ...] = ("one-pass", "consistency", "regression")


@dataclass(frozen=True, eq=False)
class Student:
    """A student that draws pictures.

    Attributes:
        pipeline: its weights, tokens and sampler; unguided.
        kind: how it is sampled: in one pass, or by a consistency model's steps.
        passes: decoder passes, or sampling steps.
        teacher: the hash of the weights it was made from.
    """

    pipeline: Pipeline
    kind: Kind
    passes: int
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.kind == "consistency":
            self.pipeline.scheduler.plan(self.passes)
        else:
            _ = self.form

    @property
    def name(self) -> str:
        """On the screen."""
        return Arm(self.kind, self.passes).name

    @property
    def fingerprint(self) -> str:
        """Of weights and sampling."""
        return f"{self.pipeline.fingerprint}-{self.kind}-{self.passes}"

    @cached_property
    def form(self) -> OnePass:
        """The closed form of its sampler."""
        return one_pass(self.pipeline.scheduler, self.passes)

    def with_passes(self, passes: int) -> Student:
        """The same weights sampled in another number of passes."""
        return replace(self, passes=passes)

    def sample(self, inputs: Inputs, report: Report = silent) -> dict[str, np.ndarray]:
        """Pictures and samples, as `workbench.diffusion.sample` gives them.

        Args:
            inputs: of the student's pipeline, or of its teacher's: noise and contexts are alike.
            report: progress.

        Returns:
            ``image`` [B, H, W, C] in [0, 1]; ``latents`` [B, K, H, W, C].
        """
        if self.kind == "consistency":
            steps, plan = self.passes, SamplingPlan.full(self.passes)
            return sample(replace(self.pipeline, steps=steps, plan=plan), inputs, report)
        pipeline = self.pipeline
        run = _program(pipeline.config, pipeline.precision, self.form)
        made = run(pipeline.weights, inputs.noise, inputs.context, inputs.added)
        return finished(pipeline, [made], report)

    @property
    def cost(self) -> PartCost:
        """Multiply-adds of one picture, of the UNet alone."""
        if self.kind == "consistency":
            return full_cost(self.pipeline.shape) * self.passes
        return one_pass_cost(self.pipeline.shape, self.passes)


def one_pass_cost(shape: UNetShape, passes: int) -> PartCost:
    """Encoder and middle block once, the decoder K times: 24.4 % less than K steps for SD 1.5.

    Raises:
        ValueError: no pass.
    """
    if passes < 1:
        raise ValueError(f"passes={passes}: needed at least 1 decoder pass")
    return full_cost(shape) + decode_cost(shape) * (passes - 1)


@cache
def _program(config: Any, precision: Precision, form: OnePass) -> Any:
    """The whole of a student's sampling as one compiled program; weights are its argument."""
    graph, state = nnx.split(abstract_unet(config, precision))
    tree = jax.tree.structure(state)

    @partial(jax.jit, compiler_options=by_eigen(precision.compute))
    def run(
        weights: tuple[Array, ...], z: Float[Array, "B H W C"], context: Any, added: Any
    ) -> Float[Array, "K B H W C"]:
        unet: Any = nnx.merge(graph, jax.tree.unflatten(tree, weights))
        return form.samples(z, predictions(unet, z, form.timesteps, context, added))

    return run


def save_student(student: Student, folder: str | Path, base: str | Path | None = None) -> Path:
    """Write a folder that `load_student` and `Pipeline.load` read, its parts in diffusers' layout.

    Args:
        student: with class tokens; its weights are written in half precision.
        folder: made where missing.
        base: folder of the pipeline it was made from. The UNet's kernels are then kept as their
            difference from that one's in eight bits, half the bytes, and the base must stay where
            it is from `folder`. `save_student(load_student(folder), other)` writes it whole, as
            diffusers reads it.

    Raises:
        CheckpointError: the disk refused; a base that is missing or of another form.
    """
    folder, pipeline = Path(folder), student.pipeline
    graph, state = nnx.split(abstract_unet(pipeline.config))
    half = [np.asarray(leaf).astype(np.float16) for leaf in pipeline.weights]
    tree = jax.tree.structure(state)
    unet: Any = nnx.merge(graph, jax.tree.unflatten(tree, half))
    save_unet(unet, folder / "unet", base=None if base is None else Path(base) / "unet")
    pipeline.tokens.save(folder / "class_tokens")
    save_scheduler(pipeline.scheduler, folder / "scheduler")
    fields = {"kind": student.kind, "passes": student.passes, "teacher": student.teacher}
    replace_text(folder / STUDENT, json.dumps(fields, indent=2) + "\n")
    kind = type(pipeline.scheduler).__name__
    index = {
        "_class_name": "ClassConditionalPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", f"{kind}Scheduler"],
    }
    write_json(index, folder / "model_index.json")
    return folder


def load_student(folder: str | Path, *, dtype: Any = "float32") -> Student:
    """Read a student's folder.

    Raises:
        CheckpointError: what is missing or does not fit, named.
    """
    folder = Path(folder)
    try:
        fields = json.loads((folder / STUDENT).read_text(encoding="utf-8"))
        kind, passes = fields["kind"], fields["passes"]
    except OSError as error:
        raise CheckpointError(f"{folder / STUDENT}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / STUDENT}: needed kind and passes ({error!r})") from error
    if kind not in KINDS or not isinstance(passes, int):
        raise CheckpointError(
            f"{folder / STUDENT}: kind={kind!r} with passes={passes!r}; kinds are "
            f"{', '.join(KINDS)}, and passes a whole number"
        )
    pipeline = Pipeline.load(folder, steps=max(passes, 1), guidance=1.0, dtype=dtype)
    try:
        return Student(pipeline, kind, passes, str(fields.get("teacher", "")))
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def student_of(
    teacher: Pipeline, weights: Any, kind: Kind, passes: int, scheduler: Scheduler | None = None
) -> Student:
    """Trained weights as a student of their teacher.

    Args:
        teacher: its tokens and sampler serve the student.
        weights: an `nnx.State` of the teacher's form.
        scheduler: the student's sampler, where it is another.
    """
    leaves = tuple(jax.tree.leaves(weights))
    pipeline = replace(
        teacher,
        name=f"{teacher.name}-{Arm(kind, passes).folder}",
        weights=leaves,
        weights_hash=_hash(leaves),
        scheduler=scheduler or teacher.scheduler,
        first_scheduler=None,
        guidance=1.0,
        steps=passes,
        plan=SamplingPlan.full(passes),
        folder="",
    )
    return Student(pipeline, kind, passes, teacher.weights_hash)


def _hash(leaves: tuple[Array, ...]) -> str:
    """Sixteen digits that name these weights."""
    digest = hashlib.sha256()
    for leaf in leaves:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]
