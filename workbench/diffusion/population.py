"""Population quality: how a whole set of pictures relates to another, in some feature space.

Where the features come from a small classifier trained on the same data, the distance between
distributions is called toy-FID with its features and count; FID is said of Inception's alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

Features = Float[np.ndarray, "N D"]
Others = Float[np.ndarray, "M D"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and covariance of a set's features: what published reference sets come as."""

    mean: Float[np.ndarray, " D"]
    covariance: Float[np.ndarray, "D D"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "N D"]) -> Statistics:
        """Of at least two pictures."""
        features = np.asarray(features, np.float64)
        return cls(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))

    @classmethod
    def load(cls, file: str | Path) -> Statistics:
        """Read an `.npz` with `mu` and `sigma`, the common form; nothing in it is unpickled.

        Raises:
            ValueError: not such a file, or arrays whose shapes do not fit each other.
        """
        try:
            with np.load(file, allow_pickle=False) as arrays:
                mean, covariance = (np.asarray(arrays[n], np.float64) for n in ("mu", "sigma"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file}: needed an .npz with mu and sigma ({error})") from error
        if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
            raise ValueError(
                f"{file}: mu has shape {mean.shape} and sigma {covariance.shape}; "
                "needed [D] and [D, D]"
            )
        return cls(mean, covariance)

    def save(self, file: str | Path) -> None:
        """Write the arrays as `mu` and `sigma`."""
        np.savez(file, mu=self.mean, sigma=self.covariance)


def frechet_distance(
    features: Float[np.ndarray, "N D"], reference: Float[np.ndarray, "M D"] | Statistics
) -> float:
    """||m1 - m2||² + tr(S1 + S2 - 2 (S1 S2)^½), the Fréchet distance of two Gaussians.

    Heusel et al. 2017, equation 6: FID with Inception's features, a "toy-FID" with others. Biased
    upward for few samples; for fewer samples than features use `kernel_distance`.

    With S1 = XᵀX for a centred and scaled X, tr (S1 S2)^½ is the sum of the roots of the
    eigenvalues of X S2 Xᵀ, symmetric and as small as the smaller of N and D; with S2 = YᵀY too it
    is the sum of the singular values of X Yᵀ.

    Raises:
        ValueError: fewer than two samples on a side, or features of another width.
    """
    _require_two(features, features if isinstance(reference, Statistics) else reference)
    first = _root(features)
    mean = np.asarray(features, np.float64).mean(0)
    if isinstance(reference, Statistics):
        other, trace = reference.mean, float(np.trace(reference.covariance))
        _same_width(mean, other)
        eigenvalues = np.linalg.eigvalsh(first @ reference.covariance @ first.T)
        cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    else:
        second = _root(reference)
        other, trace = np.asarray(reference, np.float64).mean(0), float((second**2).sum())
        _same_width(mean, other)
        cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    gap = mean - other
    return float(gap @ gap + (first**2).sum() + trace - 2 * cross)


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


def _root(features: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "R D"]:
    """X with XᵀX the covariance, in at most D rows."""
    features = np.asarray(features, np.float64)
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    if len(features) <= features.shape[1]:
        return centred
    return np.asarray(np.linalg.qr(centred, mode="r"))


def _same_width(mean: np.ndarray, other: np.ndarray) -> None:
    if mean.size != other.size:
        raise ValueError(
            f"features are {mean.size} wide and the reference's {other.size}; needed the same"
        )


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
