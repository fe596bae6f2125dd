"""What is left of a picture and of its letters after a round trip or a restoration.

Pictures are float in [0, 1], colour last; nothing here needs a pretrained network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import sobel

from workbench.datasets import Glyphs
from workbench.diffusion import fidelity

Pictures = Float[np.ndarray, "N H W 3"]
FLAT = 1e-6
"""Spread below which a patch has no shape to correlate."""


def luma(pictures: Pictures) -> Float[np.ndarray, "N H W 1"]:
    """Y of ITU-R BT.601 as super-resolution is judged on: 16/255 for black, 235/255 for white."""
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return (np.asarray(pictures, np.float64) @ weights + 16 / 255)[..., None]


def psnr_y(pictures: Pictures, reference: Pictures) -> Float[np.ndarray, " N"]:
    """Peak signal-to-noise ratio of Y, the peak being 1 [dB]."""
    return fidelity.psnr(luma(pictures), luma(reference))


def ssim_y(pictures: Pictures, reference: Pictures) -> Float[np.ndarray, " N"]:
    """Structural similarity of Y (Wang et al. 2004), the range being 1."""
    return fidelity.ssim(luma(pictures), luma(reference))


def edge_correlation(pictures: Pictures, reference: Pictures) -> Float[np.ndarray, " N"]:
    """Correlation of the lengths of Y's gradient (Sobel) over pixels; NaN where one is flat."""
    pairs = zip(luma(pictures)[..., 0], luma(reference)[..., 0], strict=True)
    return np.array([_correlation(_edges(a), _edges(b)) for a, b in pairs])


def character_correlation(
    pictures: Pictures, reference: Pictures, glyphs: Sequence[Glyphs]
) -> Float[np.ndarray, " N"]:
    """Mean over a page's letters of the correlation of Y within each letter's box; ours.

    One where all letters keep their form, whatever became of their contrast; a letter that is
    blurred to grey counts 0. NaN for a page without letters.

    Args:
        glyphs: of each page.
    """
    found = []
    triples = zip(luma(pictures)[..., 0], luma(reference)[..., 0], glyphs, strict=True)
    for here, there, letters in triples:
        each = [
            np.nan_to_num(_correlation(here[t:b, left:r], there[t:b, left:r]))
            for t, left, b, r in letters.boxes
            if there[t:b, left:r].std() > FLAT
        ]
        found.append(float(np.mean(each)) if each else np.nan)
    return np.array(found, np.float64)


def quality(
    pictures: Pictures, reference: Pictures, glyphs: Sequence[Glyphs] = ()
) -> dict[str, float]:
    """Means of all measures over the pictures; that of letters only where there are some."""
    values = {
        "psnr_y": psnr_y(pictures, reference),
        "ssim_y": ssim_y(pictures, reference),
        "edges": edge_correlation(pictures, reference),
    }
    if glyphs:
        values["characters"] = character_correlation(pictures, reference, glyphs)
    return {name: float(np.nanmean(each)) for name, each in values.items()}


def _edges(plane: np.ndarray) -> np.ndarray:
    return np.hypot(sobel(plane, axis=0), sobel(plane, axis=1))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's; NaN where one of both is constant."""
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a * a).mean() * (b * b).mean()))
    return float((a * b).mean() / size) if size > FLAT**2 else float("nan")
