"""Are samples the right digit, as varied as real ones, and not copies of the training set?

Everything is held against the real test images, from forms the model never saw, treated as if they
were samples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from workbench.datasets import Dataset, Images
from workbench.diffusion.classifier import Classifier
from workbench.diffusion.population import (
    diversity,
    frechet_distance,
    kernel_distance,
    nearest_distances,
)

LEAST_AGREEMENT = 0.95
LEAST_DIVERSITY = 0.75
"""Diversity within a class, over that of the test images."""
LEAST_DISTANCE = 0.8
"""Median distance to the nearest training image, over that of the test images."""
MOST_TOO_NEAR = 0.05
"""Share of samples nearer to the training set than the nearest 1 % of the test images are."""


@dataclass(frozen=True)
class Judgement:
    """What was found of one set of samples.

    Attributes:
        count: how many samples.
        agreement: share the classifier sees as the class asked for.
        agreement_by_class: the same, by class.
        diversity_ratio: mean distance of two samples of one class in the classifier's features,
            over that of the test images.
        pixel_diversity_ratio: the same in pixels.
        distance_ratio: median pixel distance to the nearest training image, over that of the test
            images.
        too_near: share nearer than the nearest 1 % of the test images; 0.01 is expected.
        distance_count: how many of each side the two distances below are taken over: as many of
            one as of the other, because the Fréchet distance depends on the count.
        kernel_distance: unbiased kernel distance to the test images, in the classifier's features.
        kernel_distance_train: that of the training images to the test images, for scale.
        toy_fid: Fréchet distance to the test images in the classifier's features. Not FID.
        toy_fid_train: that of the training images to the test images, for scale.
    """

    count: int
    agreement: float
    agreement_by_class: tuple[float, ...]
    diversity_ratio: float
    pixel_diversity_ratio: float
    distance_ratio: float
    too_near: float
    distance_count: int
    kernel_distance: float
    kernel_distance_train: float
    toy_fid: float
    toy_fid_train: float

    def faults(self) -> list[str]:
        """What is below the mark, in words; empty for a good model."""
        found = []
        if self.agreement <= LEAST_AGREEMENT:
            found.append(
                f"{self.agreement:.1%} of samples show the class asked for; "
                f"more than {LEAST_AGREEMENT:.0%} is needed"
            )
        least = min(self.diversity_ratio, self.pixel_diversity_ratio)
        if least < LEAST_DIVERSITY:
            found.append(
                f"samples of a class are {least:.2f} as varied as real ones; "
                f"{LEAST_DIVERSITY} is needed"
            )
        if self.distance_ratio < LEAST_DISTANCE:
            found.append(
                f"samples lie {self.distance_ratio:.2f} as far from the training set as real test "
                f"images do; {LEAST_DISTANCE} is needed, less is copying"
            )
        if self.too_near > MOST_TOO_NEAR:
            found.append(
                f"{self.too_near:.1%} of samples nearly repeat a training image; at most "
                f"{MOST_TOO_NEAR:.0%} may"
            )
        return found

    def as_json(self) -> dict[str, Any]:
        """The numbers, the marks they are held to, and the verdict."""
        return {
            **asdict(self),
            "agreement_by_class": list(self.agreement_by_class),
            "marks": {
                "agreement": f"> {LEAST_AGREEMENT}",
                "diversity_ratio": f">= {LEAST_DIVERSITY}",
                "pixel_diversity_ratio": f">= {LEAST_DIVERSITY}",
                "distance_ratio": f">= {LEAST_DISTANCE}",
                "too_near": f"<= {MOST_TOO_NEAR}",
            },
            "faults": self.faults(),
        }


def judge(
    samples: Float[np.ndarray, "N H W C"],
    labels: Int[np.ndarray, " N"],
    data: Dataset[Images],
    classifier: Classifier,
) -> Judgement:
    """Hold samples against the real test images.

    Args:
        samples: in [0, 1].
        labels: the class asked for.
        data: what the model was trained on, with its held-out side.
        classifier: trained on the training side alone.
    """
    train, test = _in_unit(data.train), _in_unit(data.test)
    features, real = np.asarray(classifier.features(samples)), np.asarray(classifier.features(test))
    seen = np.asarray(classifier.features(train))
    right = classifier.predict(samples) == labels
    near = nearest_distances(_flat(samples), _flat(train))
    near_real = nearest_distances(_flat(test), _flat(train))
    varied = diversity(features, labels) / diversity(real, data.test.labels)
    varied_pixels = diversity(_flat(samples), labels) / diversity(_flat(test), data.test.labels)
    count = min(len(samples), len(test), len(train))
    return Judgement(
        count=len(samples),
        agreement=float(right.mean()),
        agreement_by_class=tuple(float(right[labels == k].mean()) for k in np.unique(labels)),
        diversity_ratio=float(varied),
        pixel_diversity_ratio=float(varied_pixels),
        distance_ratio=float(np.median(near) / np.median(near_real)),
        too_near=float(np.mean(near < np.percentile(near_real, 1))),
        distance_count=count,
        kernel_distance=kernel_distance(_even(features, count), _even(real, count)),
        kernel_distance_train=kernel_distance(_even(seen, count), _even(real, count)),
        toy_fid=frechet_distance(_even(features, count), _even(real, count)),
        toy_fid_train=frechet_distance(_even(seen, count), _even(real, count)),
    )


def _even(rows: Float[np.ndarray, "N F"], count: int) -> Float[np.ndarray, "M F"]:
    """`count` rows at even distances."""
    return rows[np.arange(count) * len(rows) // count]


def _in_unit(split: Images) -> Float[np.ndarray, "N H W C"]:
    return split.images.astype(np.float32) / 255


def _flat(images: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N P"]:
    return np.asarray(images, np.float64).reshape(len(images), -1)
