"""Samples of a pipeline, held by the digits judge against real test pictures."""

from __future__ import annotations

from functools import cache
from typing import Any

from workbench import shipped
from workbench.datasets import Dataset, Images
from workbench.diffusion.assembly.plan import TEACHER
from workbench.diffusion.classifier import Classifier, load_classifier
from workbench.diffusion.digits.evaluate import draw
from workbench.diffusion.digits.judge import judge
from workbench.diffusion.pipeline import Pipeline

SAMPLER, STEPS = "dpm++", 20
FIRST = 7
"""Block of picture seeds that cards are judged on, apart from those of studies."""
TOLD = (
    "count",
    "agreement",
    "diversity_ratio",
    "pixel_diversity_ratio",
    "distance_ratio",
    "distance_count",
    "kernel_distance",
    "toy_fid",
)


def judged(
    pipeline: Pipeline, data: Dataset[Images], count: int, seed: int = FIRST
) -> dict[str, Any]:
    """What the judge of the shipped model sees in `count` samples, classes in turn.

    Args:
        pipeline: sampled with the shipped model's own settings of evaluation.
        data: with its held-out side.
        count: of samples.
        seed: names the block of picture seeds.
    """
    sampled = pipeline.with_sampling(sampler=SAMPLER, steps=STEPS)
    images, labels = draw(sampled, count, seed)
    found = judge(images, labels, data, judge_classifier()).as_json()
    about = {"sampler": SAMPLER, "steps": STEPS, "guidance": pipeline.guidance, "seed": seed}
    return about | {name: found[name] for name in TOLD}


@cache
def judge_classifier() -> Classifier:
    """The classifier that ships beside the teacher."""
    return load_classifier(shipped.path(TEACHER) / "classifier")
