"""Work on large pictures tile by tile, neighbours blended by Gaussian weights.

Tiles overlap; each result is weighted by a Gaussian over the tile with a variance of 0.01 of its
side, as TVT blends latents (Yi et al. 2025), and the weights of each pixel are divided by their
sum. Only one tile is computed at a time, and the sums lie on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.progress import Report, silent

VARIANCE = 0.01
"""Of the weights, where a tile's side is 1."""


def tile_weights(height: int, width: int) -> Float[np.ndarray, "H W 1"]:
    """exp(-(y² + x²) / (2 · 0.01)) over a tile, its middle 0 and its sides at ±1/2."""
    y, x = (
        np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * VARIANCE))
        for side in (height, width)
    )
    return (y[:, None] * x[None, :])[..., None]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side: the last one ends with the side.

    Raises:
        ValueError: tiles that do not go forward.
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise ValueError(f"tile={tile} with overlap={overlap}: needed 0 <= overlap < tile")
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def shares(height: int, width: int, tile: int, overlap: int) -> Float[np.ndarray, "T H W"]:
    """What each tile has in each pixel; over all tiles it is 1. For tests and for looking at."""
    weights, places = _plan(height, width, tile, overlap)
    found = np.zeros((len(places), height, width))
    for one, (top, left) in zip(found, places, strict=True):
        one[top : top + weights.shape[0], left : left + weights.shape[1]] = weights[..., 0]
    return found / found.sum(axis=0)


def by_tiles(
    function: Callable[[Any], Any],
    values: Float[np.ndarray, "B H W C"],
    tile: int,
    overlap: int,
    *,
    scale: float = 1.0,
    report: Report = silent,
) -> Float[np.ndarray, "B h w D"]:
    """`function` of a picture or latent, tile by tile; all at once where one tile sees everything.

    Args:
        function: [B, t, t, C] to [B, scale t, scale t, D].
        values: picture or latent.
        tile: pixels of a tile's side.
        overlap: pixels that neighbours share; more than `function` sees around a pixel leaves
            nothing of the borders.
        scale: size of the result over that of the input.
        report: progress, a step a tile.

    Raises:
        ValueError: tiles that do not go forward, or whose result has another size.
        Cancelled: from `report`, between tiles.
    """
    height, width = values.shape[1:3]
    _, places = _plan(height, width, tile, overlap)
    deep, wide = min(tile, height), min(tile, width)
    sums: Any = None
    for done, (top, left) in enumerate(places):
        report(done, len(places), "tiles")
        part = np.asarray(function(values[:, top : top + deep, left : left + wide]))
        expected = (round(deep * scale), round(wide * scale))
        if part.shape[1:3] != expected:
            raise ValueError(f"a tile's result has size {part.shape[1:3]}; needed {expected}")
        if len(places) == 1:
            report(1, 1, "tiles")
            return part
        weights = tile_weights(*expected).astype(np.float32)
        if sums is None:
            whole = (round(height * scale), round(width * scale))
            sums = np.zeros((part.shape[0], *whole, part.shape[-1]), np.float32)
            total = np.zeros((*whole, 1), np.float32)
        rows = slice(round(top * scale), round(top * scale) + expected[0])
        columns = slice(round(left * scale), round(left * scale) + expected[1])
        sums[:, rows, columns] += part * weights
        total[rows, columns] += weights
    report(len(places), len(places), "tiles")
    sums /= total
    found: np.ndarray = sums
    return found


def _plan(
    height: int, width: int, tile: int, overlap: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    places = [(y, x) for y in starts(height, tile, overlap) for x in starts(width, tile, overlap)]
    return tile_weights(min(tile, height), min(tile, width)), places
