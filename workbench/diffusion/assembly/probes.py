"""What a study of students looks at: the digits judge's numbers, and nearness to the full run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from scipy.special import softmax

from workbench.datasets import digits
from workbench.diffusion.assembly.judging import judge_classifier
from workbench.diffusion.fidelity import ssim
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.population import diversity, kernel_distance
from workbench.study.study import Outcome, Outputs, Probe, Study

TOLERANCE = 0.032
"""Toy-KID of the training pictures to the test pictures, which the shipped card tells: a smaller
change is no loss."""
BATCH = 8


def study_of(teacher: Pipeline, seeds: Iterable[int]) -> Study:
    """Pictures of seeds, classes in turn; the classifier's probability of the class decides.

    It is a number for each picture, so that its paired interval is narrow; whether the class is
    right is a yes or no, and toy-KID a number about all.
    """
    return Study(
        name=f"students of {teacher.name}, {teacher.steps} steps",
        subject=teacher,
        inputs=teacher.inputs,
        seeds=tuple(seeds),
        probes=PROBES,
        batch=BATCH,
        derive=_seen,
    )


def _seen(outputs: Outputs) -> Outputs:
    classifier, images = judge_classifier(), outputs["image"]
    logits = np.asarray(classifier.logits(images), np.float64)
    return {"features": np.asarray(classifier.features(images)), "chances": softmax(logits, axis=1)}


def _asked(outcome: Outcome) -> np.ndarray:
    return np.array([seed % outcome.subject.tokens.classes for seed in outcome.seeds])


@cache
def _real() -> dict[int, np.ndarray]:
    """The classifier's features of the test pictures, by class."""
    classifier = judge_classifier()
    test = digits(classifier.config.image_size).test
    features = np.asarray(classifier.features(test.images.astype(np.float32) / 255))
    return {int(label): features[test.labels == label] for label in np.unique(test.labels)}


def toy_kid(outcome: Outcome) -> float:
    """Kernel distance to real test pictures within each class, then the mean; NaN under two."""
    features, asked = outcome.outputs["features"], _asked(outcome)
    labels, counts = np.unique(asked, return_counts=True)
    if counts.min() < 2:
        return float("nan")
    return float(np.mean([kernel_distance(features[asked == k], _real()[int(k)]) for k in labels]))


def _diversity(outcome: Outcome) -> float:
    asked = _asked(outcome)
    if np.unique(asked, return_counts=True)[1].min() < 2:
        return float("nan")
    return diversity(outcome.outputs["features"], asked)


def _agreement(outcome: Outcome) -> np.ndarray:
    return 100.0 * (outcome.outputs["chances"].argmax(axis=1) == _asked(outcome))


def _chance(outcome: Outcome) -> np.ndarray:
    chances: np.ndarray = outcome.outputs["chances"]
    return 100.0 * chances[np.arange(len(chances)), _asked(outcome)]


def _ssim(outcome: Outcome) -> np.ndarray:
    return np.asarray(ssim(outcome.outputs["image"], outcome.reference["image"]))


PROBES = (
    Probe("chance", _chance, "%", "higher", 2.0, label="probability of the class asked for"),
    Probe(
        "toy_kid",
        toy_kid,
        "",
        "lower",
        TOLERANCE,
        level="population",
        label="toy-KID (kernel distance in a class, classifier features)",
    ),
    Probe("agreement", _agreement, "%", "higher", 2.0, label="class agreement", share=True),
    Probe("diversity", _diversity, "", "higher", level="population", label="class diversity"),
    Probe("ssim", _ssim, "", "higher", label="SSIM to the teacher's full run", relative=True),
)
