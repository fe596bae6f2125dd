"""Photographs and pages to learn from, and others to be judged on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8

from workbench.datasets import Glyphs, batch_indices, photographs, typeset_pages
from workbench.diffusion.super_resolution.degradation import MILD, Degradation
from workbench.diffusion.super_resolution.degrading import degraded
from workbench.diffusion.super_resolution.forms import LEAST_SIDE
from workbench.diffusion.super_resolution.resizing import resized

PHOTOS = ("astronaut", "chelsea", "china", "coffee", "flower", "ihc", "motorcycle-left", "rocket")
"""Pictures in colour that are mostly not black; `chelsea` and `flower` are held out."""
DEGRADING = 77
"""First number of every seed of a degradation."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Pictures of one kind that nothing was trained on.

    Attributes:
        kind: "photographs" or "pages".
        sharp: in [0, 1].
        low: a quarter of their size, degraded.
        glyphs: of pages, where their letters stand; none for photographs.
    """

    kind: str
    sharp: Float[np.ndarray, "N H W 3"]
    low: Float[np.ndarray, "N h w 3"]
    glyphs: tuple[Glyphs, ...] = ()


@dataclass(frozen=True, eq=False)
class Pictures:
    """What networks learn from and are judged on.

    Half are photographs and half pages, in turn. Each is degraded in one way, by its own number,
    so that all networks see the same pairs.

    Attributes:
        train: [N, S, S, 3].
        held_out: by kind.
        knobs: of the degradation.
        fingerprint: of all of it.
    """

    train: UInt8[np.ndarray, "N S S 3"]
    held_out: tuple[HeldOut, ...]
    knobs: Degradation
    fingerprint: str
    _low: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def side(self) -> int:
        """Pixels of a picture's side."""
        return int(self.train.shape[1])

    def batch(self, size: int, seed: int, step: int) -> Float[np.ndarray, "B S S 3"]:
        """Training pictures of one update, in [-1, 1]."""
        return _signed(self.train[batch_indices(len(self.train), size, seed, step)] / 255)

    def pairs(self, size: int, seed: int, step: int) -> dict[str, Float[np.ndarray, "B S S 3"]]:
        """The same pictures as "sharp", and as "low" degraded and enlarged to their size."""
        index = batch_indices(len(self.train), size, seed, step)
        low = np.stack([self._degraded(int(one)) for one in index])
        return {"sharp": _signed(self.train[index] / 255), "low": _signed(enlarged_again(low))}

    def _degraded(self, index: int) -> np.ndarray:
        if index not in self._low:
            sharp = self.train[index].astype(np.float32) / 255
            drawn = np.random.default_rng((DEGRADING, 0, index))
            self._low[index] = degraded(sharp, self.knobs, drawn)
        return self._low[index]


@lru_cache(maxsize=4)
def pictures(
    side: int = 64, *, count: int = 1024, held_out: int = 32, knobs: Degradation = MILD
) -> Pictures:
    """Crops of the photographs at hand, halved, and pages set in Pillow's font.

    Args:
        side: pixels; a multiple of 16, so that every form here takes it.
        count: pictures of each kind to learn from, at most.
        held_out: pictures of each kind to be judged on, at most.
        knobs: of the degradation.

    Raises:
        ValueError: a side that is too small or no multiple of 16; or what a dataset refuses.
    """
    if side < 2 * LEAST_SIDE or side % 16:
        raise ValueError(
            f"side={side}: pictures have at least {2 * LEAST_SIDE} pixels a side, a multiple of 16"
        )
    photos = photographs(side, stride=max(side // 4, 1), shrink=2, names=PHOTOS)
    crops = _evenly(photos.train.images, count)
    made = typeset_pages(len(crops), test_count=held_out, side=side)
    train = np.concatenate([crops, made.pages.train.images])
    parts = (
        _held_out("photographs", _evenly(photos.test.images, held_out), (), 1, knobs),
        _held_out("pages", made.pages.test.images, made.test_glyphs, 2, knobs),
    )
    prints = (photos.fingerprint, made.pages.fingerprint, str(held_out), str(count), repr(knobs))
    return Pictures(train, parts, knobs, "; ".join(prints))


def enlarged_again(low: Float[np.ndarray, "N h w 3"]) -> Float[np.ndarray, "N H W 3"]:
    """Four times the size, bicubic, within [0, 1]: how a network sees a small picture."""
    height, width = low.shape[1:3]
    found = [resized(one, (4 * height, 4 * width), "bicubic") for one in low]
    return np.clip(np.stack(found), 0, 1)


def _held_out(
    kind: str,
    images: np.ndarray,
    glyphs: tuple[Glyphs, ...],
    number: int,
    knobs: Degradation,
) -> HeldOut:
    sharp = images.astype(np.float32) / 255
    low = [
        degraded(one, knobs, np.random.default_rng((DEGRADING, number, index)))
        for index, one in enumerate(sharp)
    ]
    return HeldOut(kind, sharp, np.stack(low), glyphs)


def _evenly(images: np.ndarray, count: int) -> np.ndarray:
    """At most `count`, at even distances."""
    taken = min(count, len(images))
    return images[np.arange(taken) * len(images) // taken]


def _signed(values: np.ndarray) -> np.ndarray:
    return (2 * values - 1).astype(np.float32)
