"""Layers of published networks, counted before, so that nothing loads jax to draw them.

`python -m workbench.labs.vision.record --only layers --out data/vision-lab` counts them anew.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from typing import Any

from workbench import shipped
from workbench.vision.efficiency.layer import COLUMNS, Layer

FILE = "data/vision-lab/layers.json"


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shipped.path(FILE).read_text(encoding="utf-8"))
    if tuple(found["columns"]) != COLUMNS:
        raise ValueError(f"{FILE} has columns {found['columns']}; needed {list(COLUMNS)}")
    return found


def pixels() -> int:
    """Height and width of the pictures they were counted at."""
    return int(_read()["pixels"])


def names() -> tuple[str, ...]:
    """Networks that are counted."""
    return tuple(_read()["networks"])


@cache
def layers(name: str) -> tuple[Layer, ...]:
    """A network's layers.

    Raises:
        ValueError: a network that is not counted; says which are.
    """
    known = _read()["networks"]
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"network={name!r} is not known; known: {', '.join(known)}{hint}")
    return tuple(Layer(*row) for row in known[name]["layers"])


def parameters(name: str) -> int:
    """Numbers a network learns."""
    layers(name)  # raises for one that is not known
    return int(_read()["networks"][name]["parameters"])


def operations(name: str) -> int:
    """FLOP of a picture."""
    return sum(layer.operations() for layer in layers(name))
