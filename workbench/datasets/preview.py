"""Pictures of a dataset: a grid of images, or a page of its text, as PNG bytes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from workbench.datasets.dataset import DatasetError, Images, Text

if TYPE_CHECKING:
    from PIL import Image

READABLE = 64
"""Screen pixels to which a small image is enlarged, whole pixels only."""

_GAP = 2
_GOLDEN = (5**0.5 - 1) / 2


def grid(split: Images, count: int, scale: int | None = None) -> bytes:
    """Images in rows, classes taken in turn, enlarged by whole pixels so that none is invented."""
    from PIL import Image

    if count < 1 or len(split) < 1:
        raise DatasetError(f"count={count} images of {len(split)}: at least one is needed")
    height, width = split.images.shape[1:3]
    columns = _columns(min(count, len(split)), len(np.unique(split.labels)), height / width)
    rows = max(1, min(count, len(split)) // columns)  # whole rows only
    chosen = split.images[_in_turn(split.labels, rows * columns)]
    channels = chosen.shape[3]
    if scale is None:
        scale = max(1, READABLE // max(height, width))
    tall, wide = height * scale + _GAP, width * scale + _GAP
    canvas = np.full((rows * tall - _GAP, columns * wide - _GAP, channels), 128, np.uint8)
    for number, image in enumerate(chosen):
        top, left = number // columns * tall, number % columns * wide
        canvas[top : top + height * scale, left : left + width * scale] = image.repeat(
            scale, 0
        ).repeat(scale, 1)
    return _png(Image.fromarray(canvas[..., 0] if channels == 1 else canvas))


def excerpt(split: Text, characters: int) -> bytes:
    """The first characters of the text, drawn as a page."""
    from PIL import Image, ImageDraw, ImageFont

    text = split.text[: characters + 4].tobytes().decode("utf-8", "ignore")[:characters]
    lines = [piece for line in text.splitlines() for piece in _wrapped(line, 96)]
    font = ImageFont.load_default(14)
    widest = max(map(font.getlength, lines), default=0)
    page = Image.new("L", (24 + round(widest), 20 + 19 * max(len(lines), 1)), 255)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((12, 10 + 19 * number), line, fill=20, font=font)
    return _png(page)


def _wrapped(line: str, width: int) -> list[str]:
    return [line[i : i + width] for i in range(0, len(line), width)] or [""]


def _columns(count: int, classes: int, tallness: float) -> int:
    """One column a class where that makes a fair picture, else about twice as wide as tall."""
    if 4 <= classes <= 16 and count >= classes:
        return classes
    return min(count, max(1, round((2 * count * tallness) ** 0.5)))


def _in_turn(labels: np.ndarray, count: int) -> np.ndarray:
    """One item of each class, then another of each, spread over the class by golden steps."""
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        where = np.flatnonzero(labels == label)
        rank[where] = np.argsort(np.argsort(np.arange(len(where)) * _GOLDEN % 1))
    return np.lexsort((labels, rank))[:count]


def _png(image: "Image.Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
