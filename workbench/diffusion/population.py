"""Population quality: how a whole set of pictures relates to another, in some feature space.

The features come from a small classifier trained on the same data, so the distance between
distributions is called toy-FID with its features and count, never FID.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Features = Float[np.ndarray, "N D"]
Others = Float[np.ndarray, "M D"]


def frechet_distance(features: Features, reference: Others) -> float:
    """||m1 - m2||² + tr(S1 + S2 - 2 (S1 S2)^½), the Fréchet distance of two Gaussians.

    Heusel et al. 2017 with other features: a "toy-FID". Biased upward for few samples; for fewer
    samples than features use `kernel_distance`.

    Raises:
        ValueError: for fewer than two samples on a side.
    """
    _require_two(features, reference)
    mean_gap = features.mean(0) - reference.mean(0)
    first, second = (np.atleast_2d(np.cov(a, rowvar=False)) for a in (features, reference))
    # tr (S1 S2)^½ = sum of square roots of the eigenvalues of S1 S2, real and not negative.
    eigenvalues = np.linalg.eigvals(first @ second).real
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    trace = np.trace(first) + np.trace(second)
    return float(mean_gap @ mean_gap + trace - 2 * cross)


def kernel_distance(features: Features, reference: Others) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x·y / D + 1)³ (KID).

    Raises:
        ValueError: for fewer than two samples on a side.
    """
    _require_two(features, reference)
    size = features.shape[1]

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / size + 1) ** 3

    def within(a: np.ndarray) -> float:
        values = kernel(a, a)
        count = len(a)
        return float((values.sum() - np.trace(values)) / (count * (count - 1)))

    return within(features) + within(reference) - 2 * float(kernel(features, reference).mean())


def _require_two(features: Features, reference: Others) -> None:
    fewest = min(len(features), len(reference))
    if fewest < 2:
        raise ValueError(f"a distance between sets needs 2 samples on each side. You gave {fewest}")


def diversity(features: Features, labels: Int[np.ndarray, " N"]) -> float:
    """Mean distance between two pictures of one class, averaged over classes."""
    per_class = []
    for label in np.unique(labels):
        chosen = features[labels == label]
        if len(chosen) > 1:
            gaps = np.linalg.norm(chosen[:, None] - chosen[None], axis=-1)
            per_class.append(gaps.sum() / (len(chosen) * (len(chosen) - 1)))
    return float(np.mean(per_class)) if per_class else float("nan")


def nearest_distances(
    pictures: Float[np.ndarray, "N P"], others: Float[np.ndarray, "M P"]
) -> Float[np.ndarray, " N"]:
    """Euclidean distance of each picture to its nearest neighbour among others."""
    squares = (pictures**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * pictures @ others.T
    # The expanded square finds the neighbour; its rounding error would hide a copy.
    return np.linalg.norm(pictures - others[squares.argmin(axis=1)], axis=1)
