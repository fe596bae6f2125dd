"""TiUE: students that encode once and decode K timesteps in one batch, and their rivals.

Li et al. 2025 (CVPR, arXiv 2505.21960). Sizes, lengths and rates are ours.

    student = load_student("digits-students/one-pass-4")  # what `...students.train` wrote
    images = student.sample(student.pipeline.inputs((0, 1, 2)))["image"]
    form = one_pass(scheduler, 4)  # z0 = form.noise[-1] z + sum of form.outputs[-1][k] o_k
    compare([FullSampling(), OnePassStudent(passes=4), OneStepStudent()], study)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.diffusion.students.methods import (
        ConsistencyStudent,
        OnePassStudent,
        OneStepStudent,
    )
    from workbench.diffusion.students.one_pass import OnePass, one_pass, predictions
    from workbench.diffusion.students.student import Student, load_student, one_pass_cost

_PLACES = {
    "ConsistencyStudent": "methods",
    "OnePass": "one_pass",
    "OnePassStudent": "methods",
    "OneStepStudent": "methods",
    "Student": "student",
    "load_student": "student",
    "one_pass": "one_pass",
    "one_pass_cost": "student",
    "predictions": "one_pass",
}
__all__ = [
    "ConsistencyStudent",
    "OnePass",
    "OnePassStudent",
    "OneStepStudent",
    "Student",
    "load_student",
    "one_pass",
    "one_pass_cost",
    "predictions",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
