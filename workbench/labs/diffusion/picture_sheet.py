"""The image grid as one PNG: methods down, seeds across, as it stands on the screen."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.labs.diffusion.picture_files import png_with_settings
from workbench.panels.picture import ImageRow, ImagesContent

READABLE = 96
"""Pixels to which a small picture is enlarged, by whole factors so that none is invented."""

GAP, MARGIN, LINE, NAMES = 4, 12, 18, 220
"""Pixels: between pictures, around the sheet, of a line of text, of the column of names."""

PAPER, INK, QUIET = 255, (31, 31, 31), (82, 82, 82)


def sheet(content: ImagesContent, settings: Mapping[str, Any]) -> bytes:
    """The grid's pictures with their methods and seeds; the settings are in the file too.

    Args:
        settings: what the pictures were made with, as plain values (`settings_in` reads them).
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = [_enlarged(row) for row in content.rows]
    tall, wide = rows[0][0].shape[:2]
    lefts = [MARGIN + NAMES + k * (wide + GAP) for k in range(len(content.columns))]
    tops = [MARGIN + 2 * LINE + k * (tall + GAP) for k in range(len(rows))]
    size = (lefts[-1] + wide + MARGIN, tops[-1] + tall + MARGIN)
    page = Image.new("RGB", size, (PAPER, PAPER, PAPER))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.text((MARGIN, MARGIN), content.title, fill=INK, font=font)
    for seed, left in zip(content.columns, lefts, strict=True):
        draw.text((left, MARGIN + LINE), seed, fill=QUIET, font=font)
    for row, pictures, top in zip(content.rows, rows, tops, strict=True):
        draw.text((MARGIN, top), row.label, fill=INK, font=font)
        draw.text((MARGIN, top + LINE), row.note, fill=QUIET, font=font)
        for picture, left in zip(pictures, lefts, strict=False):
            page.paste(Image.fromarray(picture), (left, top))
    return png_with_settings(np.asarray(page), settings)


def _enlarged(row: ImageRow) -> list[np.ndarray]:
    """uint8 [H, W, 3] of each picture of a row."""
    from PIL import Image

    found = []
    for thumb in row.images:
        with Image.open(io.BytesIO(thumb.png)) as opened:
            picture = np.asarray(opened.convert("RGB"))
        scale = max(1, READABLE // max(picture.shape[:2]))
        found.append(picture.repeat(scale, 0).repeat(scale, 1))
    return found
