"""Judge: a classifier that lies beside a model, and the qualities only it can tell.

A model folder with `classifier/` in it gets class agreement and diversity, and toy-KID and toy-FID
where the classifier names a data set that ships, whose test pictures are the real ones; a folder
without is compared by fidelity to its own full run alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.study.study import Outcome, Outputs, Probe

if TYPE_CHECKING:
    from workbench.diffusion.classifier import Classifier
    from workbench.diffusion.population import Statistics

FEWEST = 2
"""Pictures of a class below which neither variety nor a distance within it can be told."""


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier, with the features of real test pictures by class; none where unknown.

    Args:
        pictures: how many a study holds against them, which the name of toy-FID says.
    """

    classifier: Classifier
    real: Mapping[int, np.ndarray]
    pictures: int = 0

    @cached_property
    def pooled(self) -> Statistics:
        """Mean and covariance of the real pictures' features, all classes together."""
        from workbench.diffusion.population import Statistics

        return Statistics.of(np.concatenate(list(self.real.values())))

    def derived(self, outputs: Outputs) -> Outputs:
        """The classifier's features and its answer for each picture, computed once."""
        return {
            "features": np.asarray(self.classifier.features(outputs["image"])),
            "answer": np.asarray(self.classifier.predict(outputs["image"])),
        }

    def toy_kid(self, outcome: Outcome) -> float:
        """Kernel distance to the real test pictures, within each class, then the mean.

        Meant for few samples, unlike FID. Within classes, because classes that take turns are
        spread more evenly than chance and would seem nearer than they are.
        """
        from workbench.diffusion.population import kernel_distance

        features, asked = outcome.outputs["features"], _asked(outcome)
        if _fewest(asked) < FEWEST:
            return float("nan")
        found = [
            kernel_distance(features[asked == label], self.real[int(label)])
            for label in np.unique(asked)
        ]
        return float(np.mean(found))

    def toy_fid(self, outcome: Outcome) -> float:
        """Fréchet distance to the real test pictures, all classes pooled; not FID.

        Biased upward for few pictures, so it is told beside others of as many only; with fewer
        pictures than features toy-KID is the one to go by. NaN where a class was never asked for:
        its real pictures would count as distance.
        """
        from workbench.diffusion.population import frechet_distance

        asked = _asked(outcome)
        if len(asked) < FEWEST or set(asked.tolist()) != set(self.real):
            return float("nan")
        return frechet_distance(outcome.outputs["features"], self.pooled)

    @property
    def probes(self) -> tuple[Probe, ...]:
        """What only a classifier can tell."""
        name = "toy-KID (kernel distance in a class, classifier features)"
        agreement = Probe(
            "agreement", _agrees, "%", "higher", 2.0, label="class agreement", share=True
        )
        toy_kid = Probe("toy_kid", self.toy_kid, "", "lower", level="population", label=name)
        toy_fid = Probe(
            "toy_fid", self.toy_fid, "", "lower", level="population", label=self._toy_fid_name
        )
        diversity = Probe(
            "diversity", _diversity, "", "higher", level="population", label="class diversity"
        )
        return (agreement, toy_kid, toy_fid, diversity) if self.real else (agreement, diversity)

    @property
    def _toy_fid_name(self) -> str:
        """With features and count, without which the number means nothing."""
        config = self.classifier.config
        features = f"{config.features} of the {config.data} classifier"
        return f"toy-FID (features: {features}, n={self.pictures})"


@cache
def judge_of(folder: str) -> Judge | None:
    """The judge of a model folder, or None where it has no classifier.

    Raises:
        CheckpointError: for a classifier that is truncated or mislabelled.
    """
    place = Path(folder) / "classifier"
    if not folder or not place.is_dir():
        return None
    from workbench.diffusion.classifier import load_classifier

    classifier = load_classifier(place)
    return Judge(classifier, _real_features(classifier))


def _real_features(classifier: Classifier) -> dict[int, np.ndarray]:
    """Features of the test side of the classifier's data, by class; empty for other data."""
    from workbench.datasets import digits

    size = classifier.config.image_size
    if classifier.config.data != f"digits-{size}":
        return {}
    test = digits(size=size).test
    features = np.asarray(classifier.features(test.images.astype(np.float32) / 255))
    return {int(label): features[test.labels == label] for label in np.unique(test.labels)}


def _asked(outcome: Outcome) -> np.ndarray:
    """The class each seed asks for: classes take turns."""
    return np.array([seed % outcome.subject.tokens.classes for seed in outcome.seeds])


def _agrees(outcome: Outcome) -> np.ndarray:
    return 100.0 * (outcome.outputs["answer"] == _asked(outcome))


def _diversity(outcome: Outcome) -> float:
    from workbench.diffusion.population import diversity

    asked = _asked(outcome)
    if _fewest(asked) < FEWEST:
        return float("nan")
    return diversity(outcome.outputs["features"], asked)


def _fewest(asked: np.ndarray) -> int:
    return int(np.unique(asked, return_counts=True)[1].min())
