"""Noise and the teacher's pictures of it, made once and kept in a store."""

from __future__ import annotations

import numpy as np

from workbench.diffusion.driver import sample
from workbench.diffusion.students.rivals import Pairs
from workbench.diffusion.students.teacher import Teacher
from workbench.progress import Report, silent
from workbench.runs import Store

BATCH = 20
FIRST_SEED = 5_000_000
"""Of the pairs; judged pictures begin at other noise."""


def teacher_pairs(
    teacher: Teacher, count: int, store: Store, report: Report = silent, first: int = FIRST_SEED
) -> Pairs:
    """`count` pictures by the teacher's whole run, classes in turn.

    Args:
        teacher: with its steps and guidance.
        count: how many; kept in parts, so that a stopped run goes on.
        store: where they are kept.
        report: progress in pictures.
        first: seed of the first picture's noise.
    """
    parts = []
    for start in range(0, count, BATCH):
        report(start, count, "teacher's pictures")
        seeds = tuple(range(first + start, first + min(start + BATCH, count)))
        key = f"teacher pairs {teacher.fingerprint} {seeds[0]} {len(seeds)}"
        kept = store.recall(key)
        if kept is None:
            inputs = teacher.pipeline.inputs(seeds)
            images = sample(teacher.pipeline, inputs)["latents"][:, -1]
            arrays = {"noise": np.asarray(inputs.noise), "images": images, "labels": inputs.labels}
            store.remember(key, arrays, {})
        else:
            arrays = kept[0]
        parts.append(arrays)
    report(count, count, "teacher's pictures")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Pairs(joined["noise"], joined["images"], joined["labels"])
