"""The widget's one ES module and style sheet, joined from the small files in `static/`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"

CHART_PARTS = ("vega_loader.js", "chart_numbers.js", "chart_parts.js", "chart.js")
"""What charts need, for a page that shows charts alone."""

PARTS = (
    *CHART_PARTS,
    "dom.js",
    "icons.js",
    "menu.js",
    "numbers.js",
    "knobs.js",
    "choices.js",
    "texts.js",
    "steps.js",
    "form.js",
    "header.js",
    "claim.js",
    "slots.js",
    "images.js",
    "image_store.js",
    "split.js",
    "pairs.js",
    "paint.js",
    "diagram.js",
    "shares.js",
    "gallery.js",
    "written.js",
    "status.js",
    "keys.js",
    "main.js",
)


STYLES = ("panel.css", "diagram.css")


@cache
def module() -> str:
    """The parts as one ES module; only the last one exports. Marks come from the palette."""
    from workbench.figures import palette

    marks = json.dumps([slot.mark for slot in palette.SLOTS])
    return f"const WB_MARKS = {marks};\n{joined(PARTS)}"


def joined(parts: Sequence[str]) -> str:
    """The text of some files of `static/`, one after another."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in parts)


@cache
def style() -> str:
    """The theme's variables, then the panel's style sheets."""
    from workbench.figures import theme

    return theme.stylesheet(".wb") + joined(STYLES)
