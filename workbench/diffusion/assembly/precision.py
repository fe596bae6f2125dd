"""Precision as a method: the same network with its kernels in fewer bits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.diffusion.assembly.transform import NetworkTransform
from workbench.progress import Report, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Problem

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

Name = Literal["float32", "bfloat16", "int8"]
NAMES: tuple[Name, ...] = ("float32", "bfloat16", "int8")


class Precision(NetworkTransform):
    """Kernels stored in bfloat16, or in int8 with a scale per output channel.

    What is computed in follows the device (`workbench.model_files.precision`): on a CPU memory is
    saved, not time.
    """

    name = "Precision"
    version = "1"

    class Knobs(BaseKnobs):
        stored: Name = knob(
            "int8",
            label="Kernels in",
            help="What kernels are stored in; norms and biases stay in float32.",
            choices={"float32": "float32", "bfloat16": "bfloat16", "int8": "int8"},
        )

    def __init__(self, stored: Name | Knobs | None = None, **values: Any):
        if isinstance(stored, str):
            values["stored"] = stored
            stored = None
        super().__init__(stored, **values)

    def check(self, subject: Pipeline) -> list[Problem]:
        now = subject.precision.name
        if subject.precision.transformed is not None and now != self.knobs.stored:
            text = f"The kernels of {subject.name} are kept transformed; load without"
            return [Problem("error", "stored", f"{text} kept_transforms")]
        if now not in ("float32", self.knobs.stored):
            text = f"The weights of {subject.name} are in {now} already"
            return [Problem("error", "stored", text)]
        return []

    def outline(self, subject: Pipeline) -> Pipeline:
        from workbench.diffusion.switching import SwitchedPipeline
        from workbench.model_files.precision import precision

        changed = replace(subject, precision=precision(self.knobs.stored))
        if isinstance(changed, SwitchedPipeline) and changed.early is not None:
            return replace(changed, early=self.outline(changed.early))
        return changed

    def prepare(self, subject: Pipeline, seed: int = 0, report: Report = silent) -> Pipeline:
        self.require(subject)
        from workbench.diffusion.switching import SwitchedPipeline

        if subject.precision.name == self.knobs.stored:
            return subject
        changed = replace(self.outline(subject), weights=_converted(subject, self.knobs.stored))
        if isinstance(changed, SwitchedPipeline) and isinstance(subject, SwitchedPipeline):
            assert subject.early is not None
            return replace(changed, early=self.prepare(subject.early, seed, report))
        return changed


def _converted(subject: Pipeline, stored: str) -> tuple[Any, ...]:
    """The weights as a file of them would be read."""
    import numpy as np

    from workbench.diffusion.checkpoint import DIT, UNET, file_tensors
    from workbench.diffusion.loading.writing import unet_of
    from workbench.diffusion.pipeline import flat_weights
    from workbench.diffusion.unet.config import UNetConfig

    part = UNET if isinstance(subject.config, UNetConfig) else DIT
    tensors = {name: np.asarray(t) for name, t in file_tensors(unet_of(subject)).items()}
    return flat_weights(part.build(subject.config, tensors, dtype=stored))
