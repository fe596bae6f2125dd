"""A grid one can paint: rows of blocks, columns of steps, brushes, and strokes that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

COMPUTED, KEPT, PART = "0", "1", "2"
"""States of a cell: computed in this column, kept from another, or some of each."""


@dataclass(frozen=True)
class Brush:
    """What a stroke makes of the columns it touches.

    Args:
        rows: whether it also matters which rows are touched.
    """

    id: str
    label: str
    help: str = ""
    rows: bool = False


@dataclass(frozen=True)
class PaintRow:
    """One row.

    Args:
        cells: its states, a character for each column.
        held: whether a brush that minds rows has taken this one.
        note: beside the label, such as its share of the work.
    """

    id: str
    label: str
    cells: str
    held: bool = False
    note: str = ""


@dataclass(frozen=True)
class PaintGrid:
    """Everything the grid shows. It belongs to the hints: it answers settings that cannot run too.

    Args:
        column: what a column is called, such as "step".
        columns: the brush each column was painted with.
        sources: the column whose values a column keeps; -1 where it keeps none.
        heights: cost of each column against a whole one; empty where it is not known.
        height: what the heights are called.
        wrong: columns that cannot stay as they are.
        fills: (id, label) of what can be laid over the whole grid.
        actions: (id, label) of buttons beside it, answered by `View.act`.
        note: one line below.
        mark: slot of the hue.
    """

    rows: Sequence[PaintRow]
    columns: Sequence[str]
    brushes: Sequence[Brush]
    sources: Sequence[int]
    heights: Sequence[float] = ()
    column: str = "step"
    height: str = ""
    wrong: Sequence[int] = ()
    fills: Sequence[tuple[str, str]] = ()
    actions: Sequence[tuple[str, str]] = ()
    note: str = ""
    mark: int = 0


@dataclass(frozen=True)
class Stroke:
    """What the browser says of one stroke, or of a part of it.

    Args:
        brush: its id, or that of a fill.
        erase: whether the stroke takes back what the brush made.
        cells: (column, row id) of each cell touched; empty for a fill.
    """

    brush: str
    erase: bool
    cells: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Self:
        """A stroke from its message."""
        cells = tuple((int(column), str(row)) for column, row in message.get("cells", ()))
        return cls(str(message["brush"]), bool(message.get("erase")), cells)


@dataclass(frozen=True)
class Acted:
    """What an action of the grid led to.

    Args:
        said: one line for the status line.
        copied: text for the clipboard; empty where there is none.
    """

    said: str
    copied: str = ""
