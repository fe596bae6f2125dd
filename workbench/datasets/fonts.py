"""Fonts found on this machine, for rendering text; nothing is shipped or downloaded."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

CANDIDATES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("DejaVu Sans", ("DejaVuSans.ttf",)),
    ("DejaVu Serif", ("DejaVuSerif.ttf",)),
    ("DejaVu Sans Mono", ("DejaVuSansMono.ttf",)),
    ("Liberation Sans", ("LiberationSans-Regular.ttf",)),
    ("Liberation Serif", ("LiberationSerif-Regular.ttf",)),
    ("Liberation Mono", ("LiberationMono-Regular.ttf",)),
    ("Arial", ("Arial.ttf", "arial.ttf")),
    ("Times New Roman", ("Times New Roman.ttf", "times.ttf")),
    ("Courier New", ("Courier New.ttf", "cour.ttf")),
    ("Georgia", ("Georgia.ttf", "georgia.ttf")),
)
PILLOW = "Aileron"
"""The font inside Pillow; always there."""


@dataclass(frozen=True)
class Font:
    """A font by name, and the file Pillow finds it under (None: Pillow's own)."""

    name: str
    file: str | None

    def at(self, size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
        """The font, ready to draw at `size` pixels."""
        from PIL import ImageFont

        if self.file is None:
            return ImageFont.load_default(size)
        return ImageFont.truetype(self.file, size)


@functools.lru_cache(maxsize=1)
def found() -> tuple[Font, ...]:
    """Fonts this machine has, Pillow's own last."""
    fonts = [Font(name, file) for name, files in CANDIDATES if (file := _first(files))]
    return (*fonts, Font(PILLOW, None))


def _first(files: tuple[str, ...]) -> str | None:
    from PIL import ImageFont

    for file in (*files, *(_of_matplotlib(file) for file in files)):
        try:
            ImageFont.truetype(file, 12)
        except OSError:
            continue
        return file
    return None


def _of_matplotlib(file: str) -> str:
    """Where matplotlib, if it is installed, keeps its copy of the DejaVu fonts."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return file
    return str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / file)
