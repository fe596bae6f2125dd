"""The picture to be restored: a held-out page or photograph made worse, or one of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from workbench.labs.diffusion.restoring.form import (
    AS_IT_IS,
    DEGRADATION,
    NUMBERED,
    OWN,
    PICTURE,
    REBUILD,
    degradation,
)
from workbench.panels.view import Problem, Values

if TYPE_CHECKING:
    from workbench.datasets import Glyphs

SIDE, STRIDE, SHRINK = 128, 24, 2
"""Pixels of a shipped picture, between crops, and how photographs are made smaller first."""
MULTIPLE, LARGEST = 16, 1024
"""Pixels that sides of one's own picture are multiples of, and the most that is restored here."""


@dataclass(frozen=True, eq=False)
class Source:
    """What is restored.

    Attributes:
        name: in words.
        low: in [0, 1], what is given.
        sharp: four times as large, what it was made from; None for a picture taken as it is. The
            same as `low` where it is encoded and decoded.
        glyphs: letters of a page.
    """

    name: str
    low: Float[np.ndarray, "h w 3"]
    sharp: Float[np.ndarray, "H W 3"] | None = None
    glyphs: Glyphs | None = None

    @property
    def rebuilt(self) -> bool:
        """Whether it goes through the autoencoders and back, at its own size."""
        return self.low is self.sharp

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        scale = 1 if self.rebuilt else 4
        return scale * self.low.shape[0], scale * self.low.shape[1]


def source(values: Values) -> Source:
    """The picture that is asked for, made worse as asked.

    Raises:
        ValueError: a picture of one's own that cannot be taken, naming the file.
    """
    from workbench.diffusion.super_resolution.degrading import degraded

    knobs: Any = values[PICTURE]
    made: Any = values[DEGRADATION]
    sharp, name, glyphs = _sharp(knobs.source, knobs.number, knobs.path)
    if knobs.task == REBUILD:
        return Source(name, sharp, sharp, glyphs)
    how = degradation(values)
    if how is None:
        return Source(name, sharp)
    low = degraded(sharp, how, np.random.default_rng(made.seed))
    return Source(name, low, sharp, glyphs)


def picture_problem(values: Values) -> list[Problem]:
    """A file that is missing or cannot be taken, before anything runs."""
    knobs: Any = values[PICTURE]
    made: Any = values[DEGRADATION]
    if knobs.source != OWN:
        return []
    if not knobs.path:
        return [Problem("error", "path", "File: name a picture in colour, PNG or JPEG", PICTURE)]
    try:
        as_it_is = knobs.task != REBUILD and made.kind == AS_IT_IS
        check_file(knobs.path, as_it_is=as_it_is)
    except ValueError as error:
        return [Problem("error", "path", str(error), PICTURE)]
    return []


def check_file(path: str, *, as_it_is: bool) -> None:
    """That a file holds a picture in colour of a size that can be restored; its head is read.

    Raises:
        ValueError: naming the file and what would be right.
    """
    from PIL import Image, UnidentifiedImageError

    place = Path(path).expanduser()
    try:
        with Image.open(place) as picture:
            mode, (width, height) = picture.mode, picture.size
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (OSError, UnidentifiedImageError):
        raise ValueError(f"{path}: not a picture that can be read; PNG or JPEG") from None
    if mode in ("1", "L", "LA", "I", "F", "I;16"):
        raise ValueError(f"{path}: grey; needed a picture in colour")
    multiple, most = (MULTIPLE // 4, LARGEST // 4) if as_it_is else (MULTIPLE, LARGEST)
    if width % multiple or height % multiple:
        nearest = f"{width - width % multiple}×{height - height % multiple}"
        raise ValueError(
            f"{path}: {width}×{height}; width and height must be multiples of {multiple}, such as "
            f"{nearest}"
        )
    if min(width, height) < multiple or max(width, height) > most:
        raise ValueError(f"{path}: {width}×{height}; {multiple} to {most} pixels a side")


def _sharp(kind: str, number: int, path: str) -> tuple[np.ndarray, str, Glyphs | None]:
    if kind == "page":
        image, glyphs = _pages()[number]
        return image, f"page {number}", glyphs
    if kind == "photograph":
        image, name = _photographs()[number]
        return image, f"photograph {number} ({name})", None
    from PIL import Image

    with Image.open(Path(path).expanduser()) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return _unit(pixels), Path(path).name, None


@lru_cache(maxsize=1)
def _pages() -> list[tuple[np.ndarray, Glyphs]]:
    from workbench.datasets import typeset_pages

    made = typeset_pages(1, test_count=NUMBERED, side=SIDE)
    return [
        (_unit(image), glyphs)
        for image, glyphs in zip(made.pages.test.images, made.test_glyphs, strict=True)
    ]


@lru_cache(maxsize=1)
def _photographs() -> list[tuple[np.ndarray, str]]:
    from workbench.datasets import photographs
    from workbench.diffusion.super_resolution.pictures import PHOTOS

    test = photographs(SIDE, stride=STRIDE, shrink=SHRINK, names=PHOTOS).test
    chosen = np.arange(NUMBERED) * len(test.images) // NUMBERED
    return [(_unit(test.images[i]), str(test.source[i])) for i in chosen]


def _unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255
