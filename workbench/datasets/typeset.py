"""Pages of English set in Pillow's own font, each letter where it is known to stand.

The font is inside Pillow, so that the pages are the same on every machine with the same release of
Pillow and Python. Letters are set one by one: no kerning, no ligatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32, UInt8

from workbench.datasets.card import Card
from workbench.datasets.dataset import LARGEST, Dataset, DatasetError, Images, Text, require_whole
from workbench.datasets.fonts import PILLOW
from workbench.datasets.prose import english

if TYPE_CHECKING:
    from PIL import ImageFont

MARGIN = 2
SIZES = (9, 12, 16, 20)
"""Font sizes in turn [pixels]: small print to a heading."""
PAPER, INK = (225, 255), (0, 70)
"""Lightest and darkest of each colour of paper and ink, drawn for each page."""


@dataclass(frozen=True, eq=False)
class Glyphs:
    """Where each letter of a page stands, spaces left out.

    Attributes:
        characters: one for each.
        boxes: top, left, bottom, right [pixels]; the last two just outside.
    """

    characters: str
    boxes: Int32[np.ndarray, "N 4"]


@dataclass(frozen=True, eq=False)
class TypesetPages:
    """Pages with the places of the letters on those for testing.

    Attributes:
        pages: in colour; the label is the place of the font's size in `SIZES`.
        test_glyphs: of each test page.
    """

    pages: Dataset[Images]
    test_glyphs: tuple[Glyphs, ...]


def typeset(
    text: str,
    height: int,
    width: int,
    font_size: int,
    *,
    ink: tuple[int, int, int] = (16, 16, 16),
    paper: tuple[int, int, int] = (250, 250, 250),
) -> tuple[UInt8[np.ndarray, "H W 3"], Glyphs]:
    """A page of text, as much of it as there is room for; words that do not fit a line are broken.

    Args:
        text: of ASCII characters; other ones are left out.
        height, width: of the page [pixels].
        font_size: [pixels].
        ink, paper: colours.

    Raises:
        DatasetError: a page too small for one line of three letters.
    """
    from PIL import Image, ImageDraw, ImageFont

    if height < font_size + 2 * MARGIN or width < 3 * font_size + 2 * MARGIN:
        raise DatasetError(
            f"a page of {width}×{height} is too small for font_size={font_size}; at least "
            f"{3 * font_size + 2 * MARGIN}×{font_size + 2 * MARGIN} are needed"
        )
    font = ImageFont.load_default(font_size)
    page = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(page)
    leading, x, y = round(1.25 * font_size), float(MARGIN), MARGIN
    characters, boxes = [], []
    for word in _pieces(text, font, width - 2 * MARGIN):
        if x > MARGIN and x + font.getlength(word) > width - MARGIN:
            x, y = float(MARGIN), y + leading
        if y + leading > height:
            break
        for letter in word:
            at = (round(x), y)
            pen.text(at, letter, fill=ink, font=font)
            left, top, right, bottom = (int(side) for side in pen.textbbox(at, letter, font=font))
            if 0 <= left < right <= width and 0 <= top < bottom <= height:
                characters.append(letter)
                boxes.append((top, left, bottom, right))
            x += font.getlength(letter)
        x += font.getlength(" ")
    found = np.array(boxes, np.int32).reshape(-1, 4)
    return np.asarray(page).copy(), Glyphs("".join(characters), found)


def typeset_pages(
    count: int = 256,
    *,
    test_count: int | None = None,
    side: int = 64,
    seed: int = 0,
) -> TypesetPages:
    """Square pages of English in colours drawn for each, `SIZES` in turn.

    Args:
        count: training pages.
        test_count: test pages; None is a quarter of `count`.
        side: of a page [pixels].
        seed: passages and colours.

    Raises:
        DatasetError: a value out of range, or pages too small for the largest letters.
    """
    require_whole(count=count, test_count=test_count, side=side)
    require_whole(0, seed=seed)
    test_count = max(1, count // 4) if test_count is None else test_count
    if (count + test_count) * side * side * 3 > LARGEST:
        raise DatasetError(f"count={count} pages of {side}×{side} exceed {LARGEST >> 30} GiB")
    prose = english()
    train, _ = _pages(prose.train, count, side, (seed, 2))
    test, glyphs = _pages(prose.test, test_count, side, (seed, 3))
    card = Card(
        title=f"Typeset pages of English, {side}×{side}",
        source=f"text of {prose.name}; {PILLOW}, the font inside Pillow",
        licence="text: PSF License Agreement",
        done=f"set letter by letter in {', '.join(map(str, SIZES))} pixels, dark ink on light "
        "paper, colours drawn for each page: no camera",
        split=f"by text: {prose.card.split}; both sides share the font",
        sizes=f"{len(train)} train, {len(test)} test, {side}×{side}×3",
        unique_bytes=sum(len(text.encode()) for half in (train, test) for text in half.captions),
        notes="unique bytes counts the letters on the pages.",
    )
    names = tuple(f"{size} pixels" for size in SIZES)
    name = f"typeset-{side}-{count}+{test_count}of{seed}"
    return TypesetPages(Dataset(name, card, train, test, label_names=names), glyphs)


def _pages(
    prose: Text, count: int, side: int, key: tuple[int, int]
) -> tuple[Images, tuple[Glyphs, ...]]:
    raw = np.random.Philox(key=np.array(key, np.uint64)).random_raw(8 * count).reshape(count, 8)
    passages = [
        (name, text.split())
        for name, text in zip(prose.source.tolist(), prose.documents(), strict=True)
        if len(text) > 1000
    ]
    images = np.empty((count, side, side, 3), np.uint8)
    labels, source, glyphs = np.empty(count, np.int32), [], []
    for number, drawn in enumerate(raw):
        name, words = passages[int(drawn[0] % len(passages))]
        start = int(drawn[1] % max(1, len(words) - 100))
        labels[number] = number % len(SIZES)
        paper, ink = (
            (_within(drawn[k], span), _within(drawn[k + 1], span), _within(drawn[k + 2], span))
            for k, span in ((2, PAPER), (5, INK))
        )
        text = " ".join(words[start : start + 100])
        size = SIZES[number % len(SIZES)]
        images[number], found = typeset(text, side, side, size, ink=ink, paper=paper)
        source.append(name)
        glyphs.append(found)
    captions = tuple(found.characters for found in glyphs)
    return Images(images, labels, np.array(source), captions), tuple(glyphs)


def _within(drawn: np.uint64, span: tuple[int, int]) -> int:
    return span[0] + int(drawn % np.uint64(span[1] - span[0] + 1))


def _pieces(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> list[str]:
    """Words of ASCII, those wider than a line in parts that fit."""
    found = []
    for word in text.encode("ascii", "ignore").decode().split():
        piece = ""
        for letter in word:
            if piece and font.getlength(piece + letter) > width:
                found.append(piece)
                piece = ""
            piece += letter
        found.append(piece)
    return found
