"""A student's first weights: the teacher's, module by module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.diffusion.assembly.assembling import Assembly, split_key
from workbench.diffusion.checkpoint import UNET, file_shapes, file_tensors
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.unet import UNet2DCondition, UNetConfig, new_unet


def assembled(
    assembly: Assembly, teacher: UNet2DCondition, *, seed: int = 0, dtype: Any = "float32"
) -> UNet2DCondition:
    """The student with the teacher's weights where `assembly.sources` says.

    Args:
        assembly: form and sources.
        teacher: of the form that was cut.
        seed: of modules that begin anew.
        dtype: as in `load_unet`.

    Raises:
        ValueError: a teacher of another form.
    """
    check_teacher(assembly, teacher.config)
    tensors = student_tensors(assembly, file_tensors(teacher), seed=seed)
    student: UNet2DCondition = UNET.build(assembly.config, tensors, dtype=dtype)
    return student


def check_teacher(assembly: Assembly, config: UNetConfig) -> None:
    """Holds a teacher's form against the one that was cut.

    Raises:
        ValueError: another form; names the first field that differs.
    """
    if config == assembly.teacher:
        return
    field = next(n for n, value in assembly.teacher if getattr(config, n) != value)
    raise ValueError(
        f"the teacher is of another form: {field} is {getattr(config, field)}, and what was cut"
        f" has {getattr(assembly.teacher, field)}"
    )


def student_tensors(
    assembly: Assembly, teacher: Mapping[str, Any], *, seed: int = 0
) -> dict[str, np.ndarray]:
    """The student's tensors by its file's names, of the teacher's by theirs."""
    found: dict[str, np.ndarray] = {}
    fresh: Mapping[str, Any] | None = None
    for key in file_shapes(abstract_unet(assembly.config)):
        module, tensor = split_key(key)
        source = assembly.sources[module]
        if source is None:
            fresh = fresh or file_tensors(new_unet(assembly.config, seed=seed))
            found[key] = np.asarray(fresh[key])
        else:
            found[key] = np.asarray(teacher[".".join((source, tensor)) if tensor else source])
    return found
