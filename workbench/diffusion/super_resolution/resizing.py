"""Resizing as a product with one matrix a side, the same on the host and in a traced function.

The conventions are torch's `interpolate` with pixel centres aligned and nothing smoothed before a
reduction, which is what second-order degradation was published with.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Mode = Literal["area", "bilinear", "bicubic"]
MODES: tuple[Mode, ...] = ("area", "bilinear", "bicubic")
CUBIC = -0.75
"""Slope of the cubic at one pixel's distance."""


@lru_cache(maxsize=256)
def resize_matrix(before: int, after: int, mode: Mode) -> Float[np.ndarray, "A B"]:
    """The weights of each old pixel in each new one, float32; every row sums to one.

    Args:
        before: pixels of the old side.
        after: pixels of the new one.
        mode: "area" means over the pixels a new one touches; "bilinear" reads two and "bicubic"
            four around its centre, those over the edge being those at the edge.

    Raises:
        ValueError: a side without pixels.
    """
    if min(before, after) < 1:
        raise ValueError(f"resize from {before} to {after} pixels: both must be at least 1")
    weights = np.zeros((after, before))
    for new in range(after):
        if mode == "area":
            first, last = new * before // after, -(-(new + 1) * before // after)
            weights[new, first:last] = 1 / (last - first)
            continue
        centre = (new + 0.5) * before / after - 0.5
        if mode == "bilinear":
            centre = max(centre, 0.0)
        low = int(np.floor(centre))
        reach = (0, 1) if mode == "bilinear" else (-1, 0, 1, 2)
        for step in reach:
            away = abs(centre - low - step)
            weight = 1 - away if mode == "bilinear" else _cubic(away)
            weights[new, min(max(low + step, 0), before - 1)] += weight
    found = weights.astype(np.float32)
    found.setflags(write=False)
    return found


def resized(
    picture: Float[np.ndarray, "H W C"], size: tuple[int, int], mode: Mode
) -> Float[np.ndarray, "h w C"]:
    """A picture at another size, on the host."""
    height, width = picture.shape[:2]
    rows, columns = resize_matrix(height, size[0], mode), resize_matrix(width, size[1], mode)
    tall = np.tensordot(rows, np.asarray(picture, np.float32), (1, 0))
    return np.ascontiguousarray(np.swapaxes(np.tensordot(columns, tall, (1, 1)), 0, 1))


def enlarged(
    values: Float[Array, "B H W C"], factor: float, mode: Mode = "bicubic"
) -> Float[Array, "B h w C"]:
    """Pictures or latents at `factor` times their size, traced."""
    height, width = values.shape[1:3]

    def matrix(side: int) -> Any:
        return jnp.asarray(resize_matrix(side, round(side * factor), mode), values.dtype)

    tall = jnp.einsum("ah,bhwc->bawc", matrix(height), values)
    return jnp.einsum("aw,bhwc->bhac", matrix(width), tall)


def _cubic(away: float) -> float:
    """Keys' cubic (1981, eq. 15) with slope `CUBIC`."""
    if away <= 1:
        return (CUBIC + 2) * away**3 - (CUBIC + 3) * away**2 + 1
    if away < 2:
        return CUBIC * (away**3 - 5 * away**2 + 8 * away - 4)
    return 0.0
