"""The same noise drawn by the teacher and by each student, and how long each takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench import shipped
from workbench.labs.diffusion.distilled.form import ONE_PASS, RIVALS, names
from workbench.panels.view import Values
from workbench.progress import Report

SEEDS, ROUNDS = 8, 3
FOLDER, STUDY = "data/digits-students", "data/digits-students-study"
"""Weights, which `workbench.diffusion.students.train` makes; and what was measured of them."""
PICTURES, ABOUT = "pictures.safetensors", "pictures.json"


@dataclass(frozen=True, eq=False)
class Drawn:
    """Pictures and their times.

    Attributes:
        pictures: uint8 [SEEDS, H, W, C] by name.
        seconds: median of a run of all seeds, by name; empty before it was timed.
    """

    pictures: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]


def drawn(values: Values, report: Report) -> Drawn:
    """All four, timed by turns.

    Raises:
        ValueError: students whose weights are not there, or do not fit.
        Cancelled: from `report`.
    """
    from workbench.measure.timing import interleaved

    draws = _draws(values)
    total = len(draws) + 1
    pictures = {}
    for place, (name, draw) in enumerate(draws.items()):
        report(place, total, f"Drawing: {name}; the first of a kind compiles")
        images = np.asarray(draw()["image"])
        pictures[name] = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    report(len(draws), total, "Timing by turns")
    timed = interleaved(draws, repeats=ROUNDS)
    return Drawn(pictures, {name: one.median for name, one in timed.items()})


def _draws(values: Values) -> dict[str, Any]:
    from workbench.diffusion.driver import sample
    from workbench.diffusion.students import load_student
    from workbench.labs.diffusion.sampling_study import pipeline

    one: Any = values[ONE_PASS]
    rivals: Any = values[RIVALS]
    place = shipped.root() / FOLDER
    if not place.is_dir():
        raise ValueError(
            f"{FOLDER}: no students’ weights are there; python -m "
            f"workbench.diffusion.students.train --out {FOLDER} makes them"
        )
    students = (
        load_student(place / f"one-pass-{one.passes}"),
        load_student(place / "consistency").with_passes(rivals.steps),
        load_student(place / "regression"),
    )
    teacher = pipeline().with_sampling(steps=rivals.teacher)
    inputs = teacher.inputs(tuple(range(SEEDS)))
    draws: list[Any] = [lambda: sample(teacher, inputs)]
    draws += [lambda student=student: student.sample(inputs) for student in students]
    return dict(zip(names(values), draws, strict=True))


@cache
def about() -> Mapping[str, Any]:
    """Device, date and seconds of the pictures that ship."""
    text = (shipped.path(STUDY) / ABOUT).read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


@cache
def _shipped_pictures() -> Mapping[str, np.ndarray]:
    from workbench.checkpoints import read_tensors

    found = read_tensors(shipped.path(STUDY) / PICTURES)
    return {name: np.asarray(one) for name, one in found.items()}


def recorded(values: Values) -> Drawn | None:
    """Pictures that ship, where all four asked for do."""
    wanted = names(values)
    known = _shipped_pictures()
    if not set(wanted) <= set(known):
        return None
    seconds = about()["seconds"]
    return Drawn({n: known[n] for n in wanted}, {n: seconds[n] for n in wanted if n in seconds})


def write(found: Drawn, place: Path, device: str, date: str) -> None:
    """Pictures as one file, and what is to be known of them."""
    from workbench.checkpoints import write_tensors

    write_tensors(place / PICTURES, dict(found.pictures))
    facts = {"device": device, "date": date, "seconds": dict(found.seconds)}
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (place / ABOUT).write_text(text + "\n", encoding="utf-8")
