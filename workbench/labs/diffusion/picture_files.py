"""Pictures as files that say how they were made."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

KEY = "workbench"
"""Under which a PNG's text holds the settings, as JSON."""


def png_with_settings(picture: np.ndarray, settings: Mapping[str, Any]) -> bytes:
    """A uint8 picture, [H, W] or [H, W, C], as a PNG file with its settings in the metadata."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_itxt(KEY, json.dumps(dict(settings), ensure_ascii=False))
    file = io.BytesIO()
    Image.fromarray(np.squeeze(picture)).save(file, format="PNG", pnginfo=about)
    return file.getvalue()


def settings_in(file: str | Path) -> dict[str, Any]:
    """The settings a PNG was made with.

    Raises:
        ValueError: for a picture that does not say.
    """
    from PIL import Image

    with Image.open(file) as picture:
        picture.load()
        text = getattr(picture, "text", {}).get(KEY)
    if text is None:
        raise ValueError(f"{file}: the picture holds no settings of this workbench")
    return dict(json.loads(text))


def zipped(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Files as one archive."""
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return place.getvalue()
