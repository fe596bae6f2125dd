"""Pages of text drawn with Pillow: rendered, not scanned, and labelled so."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import LARGEST, Dataset, DatasetError, Images, Text, require_whole
from workbench.datasets.fonts import Font, found
from workbench.datasets.photography import read_packaged
from workbench.datasets.prose import english

if TYPE_CHECKING:
    from PIL import ImageFont

MARGIN = 8
REAL_PAGES = ("page", "text")
"""Photographed pages of scikit-image: a printed one and a handwritten one, for testing only."""


def text_pages(
    count: int = 256,
    *,
    test_count: int | None = None,
    height: int = 192,
    width: int = 384,
    font_size: int = 14,
    seed: int = 0,
) -> Dataset[Images]:
    """Pages of English rendered in several fonts, grey; the label is the font.

    `captions` hold the text on each page, line by line. `test_only` holds two photographed pages.

    Args:
        count: training pages.
        test_count: test pages; None is a quarter of `count`.
        height: of a page, pixels.
        width: of a page, pixels.
        font_size: pixels.
        seed: which passages are taken.

    Raises:
        DatasetError: a value out of range, or pages too small for a line of text.
    """
    require_whole(count=count, test_count=test_count)
    test_count = max(1, count // 4) if test_count is None else test_count
    require_whole(height=height, width=width, font_size=font_size)
    require_whole(0, seed=seed)
    if height < 2 * MARGIN + 2 * font_size or width < 2 * MARGIN + 10 * font_size:
        raise DatasetError(
            f"pages of {width}×{height} are too small for font_size={font_size}; at least "
            f"{2 * MARGIN + 10 * font_size}×{2 * MARGIN + 2 * font_size} are needed"
        )
    if (count + test_count) * height * width > LARGEST:
        raise DatasetError(f"count={count} pages of {width}×{height} exceed {LARGEST >> 30} GiB")
    prose = english()
    fonts = found()
    train_fonts, test_fonts = _split_fonts(fonts)
    shape = (height, width, font_size)
    train = _pages(prose.train, fonts, train_fonts, count, shape, (seed, 0))
    test = _pages(prose.test, fonts, test_fonts, test_count, shape, (seed, 1))
    apart = "by text and by font" if train_fonts != test_fonts else "by text only (one font here)"
    card = Card(
        title=f"Rendered pages of English, {width}×{height}",
        source=f"text of {prose.name}; fonts found on this machine: "
        + ", ".join(font.name for font in fonts),
        licence="text: PSF License Agreement; photographed pages: from scikit-image",
        done=f"rendered with Pillow at {font_size} pixels, dark on light: no paper, no camera",
        split=f"{apart}; test fonts: {', '.join(font.name for font in test_fonts)}",
        sizes=f"{len(train)} train, {len(test)} test, {height}×{width}×1, {len(fonts)} fonts",
        unique_bytes=sum(len("\n".join(split.captions).encode()) for split in (train, test)),
        notes="unique bytes counts the text on the pages. The photographed pages `page` and "
        "`text` of scikit-image are test_only, cropped or filled out to the page size. Other "
        "fonts on a machine give other pages and another fingerprint.",
    )
    name = f"text-pages-{width}x{height}-{font_size}px-{count}of{seed}"
    return Dataset(
        name,
        card,
        train,
        test,
        label_names=tuple(font.name for font in fonts),
        test_only=_real_pages(height, width),
    )


def _split_fonts(fonts: tuple[Font, ...]) -> tuple[tuple[Font, ...], tuple[Font, ...]]:
    """Every third font is for testing; with a single font both sides must share it."""
    test = fonts[1::3]
    return (tuple(f for f in fonts if f not in test), test) if test else (fonts, fonts)


def _pages(
    prose: Text,
    fonts: tuple[Font, ...],
    usable: tuple[Font, ...],
    count: int,
    shape: tuple[int, int, int],
    key: tuple[int, int],
) -> Images:
    from PIL import Image, ImageDraw

    height, width, font_size = shape
    raw = np.random.Philox(key=np.array(key, np.uint64)).random_raw(2 * count)
    passages = [
        (name, [word for word in text.split() if word.isascii()])
        for name, text in zip(prose.source.tolist(), prose.documents(), strict=True)
        if len(text) > 1000
    ]
    images = np.empty((count, height, width, 1), np.uint8)
    labels, source, captions = np.empty(count, np.int32), [], []
    for number in range(count):
        font = usable[number % len(usable)]
        name, words = passages[int(raw[2 * number] % len(passages))]
        start = int(raw[2 * number + 1] % max(1, len(words) - 120))
        drawn = font.at(font_size)
        lines = _fill(words[start:], drawn, width - 2 * MARGIN, height - 2 * MARGIN, font_size)
        page = Image.new("L", (width, height), 250)
        pen = ImageDraw.Draw(page)
        for row, line in enumerate(lines):
            pen.text((MARGIN, MARGIN + row * _leading(font_size)), line, fill=16, font=drawn)
        images[number, ..., 0] = np.asarray(page)
        labels[number] = fonts.index(font)
        source.append(f"{name} in {font.name}")
        captions.append("\n".join(lines))
    return Images(images, labels, np.array(source), tuple(captions))


def _leading(font_size: int) -> int:
    return round(1.3 * font_size)


def _fill(
    words: list[str],
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    width: int,
    height: int,
    font_size: int,
) -> list[str]:
    """Lines that fit the page; a word too long for a line is broken."""
    lines: list[str] = []
    line = ""
    for word in words:
        for piece in textwrap.wrap(word, max(1, width // font_size)) or [word]:
            longer = f"{line} {piece}" if line else piece
            if font.getlength(longer) <= width:
                line = longer
                continue
            lines.append(line)
            line = piece
            if (len(lines) + 1) * _leading(font_size) > height:
                return lines
    return [*lines, line] if line else lines


def _real_pages(height: int, width: int) -> Images:
    images = np.empty((len(REAL_PAGES), height, width, 1), np.uint8)
    for slot, name in zip(images, REAL_PAGES, strict=True):
        pixels = read_packaged(f"skimage/data/{name}.png", "L")[:height, :width]
        slot[:] = np.uint8(np.median(pixels))
        slot[: pixels.shape[0], : pixels.shape[1]] = pixels
    # Nobody drew these in one of our fonts, so they have no label.
    labels = np.full(len(REAL_PAGES), -1, np.int32)
    return Images(images, labels, np.array([f"skimage {name}" for name in REAL_PAGES]))
