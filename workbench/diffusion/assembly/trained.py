"""Trained students in their folder: which there are, which was cut how, and of what teacher."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import shipped
from workbench.checkpoints import CheckpointError
from workbench.diffusion.assembly.dropping import DropError, Kept, kept
from workbench.diffusion.assembly.students import STUDENTS, Student

if TYPE_CHECKING:
    from workbench.diffusion.unet import UNet2DCondition, UNetConfig

FOLDER, FACTS, UNET = "data/digits-assembled", "training.json", "unet"


@dataclass(frozen=True)
class Checkpoint:
    """A trained student.

    Attributes:
        student: what it is.
        dropped: names that were dropped of its teacher.
        facts: how it was trained and judged, as its card says.
        teacher: form of its teacher.
        teacher_hash: names its teacher's weights.
        folder: holds its UNet in diffusers' layout.
    """

    student: Student
    dropped: tuple[str, ...]
    facts: Mapping[str, Any]
    teacher: UNetConfig
    teacher_hash: str
    folder: Path

    @property
    def kept(self) -> Kept:
        """What of the teacher it has."""
        return kept(self.teacher, self.dropped)

    def load(self, dtype: Any = "float32") -> UNet2DCondition:
        """Its UNet.

        Raises:
            CheckpointError: missing, truncated or mislabelled.
        """
        from workbench.diffusion.checkpoint import load_unet

        return load_unet(self.folder / UNET, dtype=dtype)


def checkpoints(folder: str | Path | None = None) -> tuple[Checkpoint, ...]:
    """The students of a folder that `assembly.train` wrote; those that ship where it is None.

    Raises:
        CheckpointError: a folder without a record, or with one that is no JSON of its form.
    """
    return _read(str(folder) if folder is not None else "")


@cache
def _read(folder: str) -> tuple[Checkpoint, ...]:
    from workbench.diffusion.unet.config import UNetConfig

    try:
        place = Path(folder) if folder else shipped.path(FOLDER)
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        teacher = UNetConfig(**facts["teacher"]["form"])
        found = facts["students"]
        return tuple(
            Checkpoint(
                student,
                tuple(found[student.name]["dropped"]),
                found[student.name],
                teacher,
                facts["teacher"]["weights"],
                place / student.name,
            )
            for student in STUDENTS
            if student.name in found
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder or FOLDER}: no record of students ({error})") from error


def matching(
    config: UNetConfig,
    dropped: Iterable[str],
    *,
    experts: int = 1,
    folder: str | Path | None = None,
) -> Checkpoint | None:
    """The trained student that keeps of `config` what is left without `dropped`; None for none.

    Raises:
        DropError: a set that cannot be dropped.
    """
    wanted = kept(config, dropped)
    return next(
        (
            one
            for one in checkpoints(folder)
            if one.teacher == config and one.student.experts == experts and one.kept == wanted
        ),
        None,
    )


__all__ = ["Checkpoint", "DropError", "checkpoints", "matching"]
