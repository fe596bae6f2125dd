"""From which photograph is this patch? A classification set of real photographs, split by place.

Each photograph is cut into 4 x 4 cells; four of them, standing like four queens on a board so that
every row and column of cells has one, belong to the test. A test patch lies wholly in a test cell,
and test patches do not overlap. A training patch keeps `GAP` pixels away from every test cell, so
no test pixel, nor one beside it, is ever trained on. The task and its split are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import Dataset, DatasetError, Images, require_whole
from workbench.datasets.photography import PHOTOGRAPHS, Photograph, read_packaged

SIZES = (32, 48)
CELLS = 4
TEST_CELLS = ((0, 1), (1, 3), (2, 0), (3, 2))
"""Row and column of the cells that are held out."""

GAP = 8
"""Pixels between a training patch and the nearest test cell."""

MOST_TRAIN, MOST_TEST = 600, 64
"""Patches of one photograph, so that large ones do not outweigh the others; 64 of 32 x 32 are what
the test cells of 512 x 512 pixels hold."""

PLAIN = 2.0
"""Grey levels: patches with a smaller standard deviation (empty sky, black frame) are left out."""

REPEATED = ("motorcycle-right",)
"""Shows the scene of another photograph."""


def photograph_patches(size: int = 32, *, colour: bool = True) -> Dataset[Images]:
    """Patches whose label is the photograph they were cut from.

    Args:
        size: side of a patch, pixels; training patches lie half a side apart, test patches a whole.
        colour: True takes the 10 colour photographs, 3 channels; False takes these and the 8 grey
            ones, all as grey, 1 channel, where hue gives nothing away.

    Raises:
        DatasetError: another size, or a package whose photographs cannot be read.
    """
    require_whole(size=size)
    if size not in SIZES:
        raise DatasetError(f"size={size} must be one of {SIZES}")
    chosen = [p for p in PHOTOGRAPHS if p.name not in REPEATED and (p.colour or not colour)]
    train, test = [], []
    for photograph in chosen:
        pixels = read_packaged(photograph.file, "RGB" if colour else "L")
        height, width = pixels.shape[:2]
        train.append(_cut(pixels, _training_places(height, width, size), size, MOST_TRAIN))
        test.append(_cut(pixels, _test_places(height, width, size), size, MOST_TEST))
    trained, tested = (_joined(side, chosen) for side in (train, test))
    unique = sum(one.unique_bytes for one in (*train, *test))
    return Dataset(
        f"patches-{size}" + ("" if colour else "-grey"),
        _card(trained, tested, size, unique, chosen),
        trained,
        tested,
        label_names=tuple(p.name for p in chosen),
    )


@dataclass(frozen=True)
class Rectangle:
    """Rows `top` up to `bottom` and columns `left` up to `right` of a photograph."""

    top: int
    left: int
    bottom: int
    right: int

    def near(self, other: Rectangle, gap: int) -> bool:
        """Whether fewer than `gap` pixels lie between both."""
        return (
            self.top < other.bottom + gap
            and other.top < self.bottom + gap
            and self.left < other.right + gap
            and other.left < self.right + gap
        )


def held_out_cells(height: int, width: int) -> tuple[Rectangle, ...]:
    """The cells of a photograph that are held out."""
    rows, columns = ([side * i // CELLS for i in range(CELLS + 1)] for side in (height, width))
    return tuple(Rectangle(rows[r], columns[c], rows[r + 1], columns[c + 1]) for r, c in TEST_CELLS)


def _test_places(height: int, width: int, size: int) -> Iterator[tuple[int, int]]:
    for cell in held_out_cells(height, width):
        for top in range(cell.top, cell.bottom - size + 1, size):
            for left in range(cell.left, cell.right - size + 1, size):
                yield top, left


def _training_places(height: int, width: int, size: int) -> Iterator[tuple[int, int]]:
    cells = held_out_cells(height, width)
    for top in range(0, height - size + 1, size // 2):
        for left in range(0, width - size + 1, size // 2):
            patch = Rectangle(top, left, top + size, left + size)
            if not any(patch.near(cell, GAP) for cell in cells):
                yield top, left


@dataclass(frozen=True)
class _Patches:
    images: np.ndarray  # uint8 [N, size, size, C]
    places: list[tuple[int, int]]
    unique_bytes: int  # of the photograph, what patches overlap in counted once


def _cut(pixels: np.ndarray, places: Iterator[tuple[int, int]], size: int, most: int) -> _Patches:
    """Patches with something on them; of more than `most`, as many evenly through the list."""
    kept = []
    for top, left in places:
        if pixels[top : top + size, left : left + size].mean(axis=2).std() >= PLAIN:
            kept.append((top, left))
    if len(kept) > most:
        kept = [kept[i * len(kept) // most] for i in range(most)]
    images = np.stack([pixels[t : t + size, s : s + size] for t, s in kept])
    covered = np.zeros(pixels.shape[:2], bool)
    for top, left in kept:
        covered[top : top + size, left : left + size] = True
    return _Patches(images, kept, int(covered.sum()) * pixels.shape[2])


def _joined(side: list[_Patches], chosen: list[Photograph]) -> Images:
    labels = np.repeat(np.arange(len(side), dtype=np.int32), [len(one.places) for one in side])
    source = [
        f"{photograph.name}, row {top:04}, column {left:04}"
        for photograph, one in zip(chosen, side, strict=True)
        for top, left in one.places
    ]
    return Images(np.concatenate([one.images for one in side]), labels, np.array(source))


def _card(train: Images, test: Images, size: int, unique: int, chosen: list[Photograph]) -> Card:
    colour = train.images.shape[3] == 3
    least, most = (f(np.bincount(train.labels)) for f in (min, max))
    return Card(
        title=f"Patches of real photographs, {size}×{size}",
        source="photographs inside the scikit-image and scikit-learn packages: "
        + ", ".join(p.name for p in chosen),
        licence="; ".join(f"{p.name}: {p.licence}" for p in chosen),
        done=f"patches of {size}×{size}, {size // 2} pixels apart for training and {size} for "
        f"testing; nearly plain ones (standard deviation under {PLAIN:g} grey levels) left out; at "
        f"most {MOST_TRAIN} of a photograph train and {MOST_TEST} test"
        + ("" if colour else "; colour photographs turned to grey (ITU-R 601 luma)"),
        split=f"by place: of {CELLS}×{CELLS} cells of each photograph four are test, one in every "
        f"row and column; training patches stay {GAP} pixels away from them",
        sizes=f"{len(train)} train, {len(test)} test, {size}×{size}×{3 if colour else 1}, "
        f"{len(chosen)} classes of {least} to {most} training patches",
        unique_bytes=unique,
        notes="The label is the photograph, so it tells a place in one picture from places in the "
        "others; it says nothing about other photographs of such things. Training patches overlap "
        "each other by half."
        + (" Hue gives much away: compare with the grey form." if colour else ""),
    )
