"""Blur kernels of second-order degradation (Wang et al. 2021, Real-ESRGAN, section 3.1 to 3.3).

Every kernel is square, of odd size, and sums to one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import j1

Kernel = Float[np.ndarray, "K K"]


def gaussian(size: int, spread: tuple[float, float], turn: float, shape: float = 1.0) -> Kernel:
    """exp(-(xᵀ Σ⁻¹ x)^β / 2), normalised: the generalised Gaussian; β = 1 is the Gaussian.

    Args:
        size: pixels a side, odd.
        spread: standard deviations along the kernel's axes [pixels].
        turn: of the axes [radians].
        shape: β; below 1 it is peaked, above 1 flat in its middle.
    """
    return _normalised(np.exp(-0.5 * _distance(size, spread, turn) ** shape))


def plateau(size: int, spread: tuple[float, float], turn: float, shape: float) -> Kernel:
    """1 / (1 + (xᵀ Σ⁻¹ x)^β), normalised; arguments as of `gaussian`."""
    return _normalised(1.0 / (1.0 + _distance(size, spread, turn) ** shape))


def sinc(size: int, cutoff: float) -> Kernel:
    """ω J₁(ω r) / (2π r), ω² / 4π at its middle, normalised: an ideal low pass, which rings.

    Args:
        size: pixels a side, odd.
        cutoff: ω [radians a pixel], up to π.
    """
    x, y = _grid(size)
    radius = np.hypot(x, y)
    safe = np.where(radius == 0, 1.0, radius)
    values = cutoff * j1(cutoff * safe) / (2 * np.pi * safe)
    return _normalised(np.where(radius == 0, cutoff**2 / (4 * np.pi), values))


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size={size}: a kernel has an odd number of pixels a side")
    axis = np.arange(size) - size // 2
    x, y = np.meshgrid(axis, axis)
    return x.astype(np.float64), y.astype(np.float64)


def _distance(size: int, spread: tuple[float, float], turn: float) -> np.ndarray:
    """xᵀ Σ⁻¹ x, where Σ = R diag(σ²) Rᵀ."""
    x, y = _grid(size)
    along, across = np.cos(turn) * x + np.sin(turn) * y, -np.sin(turn) * x + np.cos(turn) * y
    return (along / spread[0]) ** 2 + (across / spread[1]) ** 2


def _normalised(values: np.ndarray) -> np.ndarray:
    return values / values.sum()
