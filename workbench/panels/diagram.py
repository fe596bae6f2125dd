"""A network as boxes that can be clicked away: levels inside one another, two sides of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TOGGLE = "toggle"
"""Brush of the stroke that a click on a box sends; its cell is (0, the box's id)."""
SHADES = 8
"""Steps of the ramp that colours a box."""

State = Literal["kept", "gone", "fixed"]


@dataclass(frozen=True)
class Box:
    """One part of a network.

    Attributes:
        id: what a click sends.
        label: its name.
        state: kept, gone (a click brings it back), or fixed, which cannot go.
        shade: 0 to 7, how much it costs; None where it is no part but a name for several.
        note: its cost in words.
        why: what a click would do, or why nothing does.
    """

    id: str
    label: str
    state: State = "kept"
    shade: int | None = None
    note: str = ""
    why: str = ""


@dataclass(frozen=True)
class Level:
    """What runs at one size: the way down at the left, the way up at the right.

    Attributes:
        label: its size in words.
        down, up: boxes in the order they run; those of `up` are drawn from the bottom.
        whole: the box that stands for all of it; None where it cannot go as one.
    """

    label: str
    down: Sequence[Box]
    up: Sequence[Box]
    whole: Box | None = None


@dataclass(frozen=True)
class Diagram:
    """Everything the diagram shows. It belongs to the hints: it answers a click at once.

    Attributes:
        levels: outermost first.
        middle: boxes below all levels.
        legend: what the shades stand for, least and most.
        note: one line below.
    """

    levels: Sequence[Level]
    middle: Sequence[Box] = ()
    legend: tuple[str, str] = ("", "")
    note: str = ""


def shade(value: float, most: float) -> int:
    """Step of the ramp for a value between nothing and `most`."""
    return 0 if most <= 0 else min(SHADES - 1, int(SHADES * value / most))
