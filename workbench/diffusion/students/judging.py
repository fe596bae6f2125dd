"""What is measured of a student: quality and diversity of its pictures, multiply-adds, seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from workbench.datasets import Dataset, Images
from workbench.diffusion.classifier import Classifier
from workbench.diffusion.digits.judge import judge
from workbench.diffusion.pipeline import Inputs, Pipeline
from workbench.measure.timing import interleaved

Draw = Callable[[Inputs], dict[str, np.ndarray]]
BATCH = 20
FIRST_SEED = 1_000_000
"""Of the judged pictures' noise, which is the same for all."""
TIMED = 8
"""Pictures at once when seconds are taken."""


def judged(
    draw: Draw, pipeline: Pipeline, count: int, data: Dataset[Images], classifier: Classifier
) -> dict[str, float]:
    """Quality and diversity of `count` pictures, classes in turn, held against real test images.

    Args:
        draw: makes pictures of inputs.
        pipeline: the teacher, whose inputs all share.
        data, classifier: the judge's.
    """
    images, labels = [], []
    for start in range(0, count, BATCH):
        seeds = tuple(FIRST_SEED + n for n in range(start, min(start + BATCH, count)))
        inputs = pipeline.inputs(seeds)
        images.append(np.asarray(draw(inputs)["image"]))
        labels.append(np.asarray(inputs.labels))
    found = judge(np.concatenate(images), np.concatenate(labels), data, classifier)
    names = ("agreement", "diversity_ratio", "pixel_diversity_ratio", "toy_fid", "kernel_distance")
    return {name: float(getattr(found, name)) for name in names}


def seconds_a_picture(draws: Mapping[str, Draw], pipeline: Pipeline) -> dict[str, float]:
    """Median seconds of a picture among `TIMED`, all timed by turns, compilation apart."""
    inputs = pipeline.inputs(tuple(range(TIMED)))

    def timed(draw: Draw) -> Callable[[], Any]:
        return lambda: draw(inputs)

    found = interleaved({name: timed(draw) for name, draw in draws.items()}, repeats=3)
    return {name: timing.median / TIMED for name, timing in found.items()}
