"""Kernels as whole numbers of eight bits, with one scale per output channel."""

import numpy as np
from jaxtyping import Float, Int8

LARGEST = 127


def quantized(
    kernel: Float[np.ndarray, "... C"],
) -> tuple[Int8[np.ndarray, "... C"], Float[np.ndarray, " C"]]:
    """Whole numbers q and scales s of max |w - q s| <= s / 2, s = max |w| / 127 per channel.

    A channel of nothing, or too small for a scale in float32, is zeros.
    """
    largest = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)), initial=0)
    smallest = LARGEST * np.finfo(np.float32).tiny
    scale = np.where(largest >= smallest, largest / LARGEST, 1.0).astype(np.float32)
    return np.rint(kernel / scale).astype(np.int8), scale
