"""Where labels stand: beside their points, clear of marks, lines and each other.

Only the browser knows a chart's width, and a picture must be the same in both. So labels are
placed here for a few nominal widths, each label row saying for which widths it holds
(`lo` ≤ width < `hi`); offsets are from the label's own data point, so between nominal widths
a label moves with its point.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np

from workbench.figures.chart import Row
from workbench.figures.text import text_width, two_lines

WIDTHS: tuple[tuple[float, float, float], ...] = (
    (0, 255, 225),
    (255, 330, 285),
    (330, 430, 375),
    (430, 570, 490),
    (570, 1e9, 680),
)
"""Plot widths: from, to, and the nominal one labels are placed for, in px."""

SLACK = 18
"""How far a label may reach beyond the right end, where the last tick's word does too, px."""

LINE = 14
"""Height of a line of an 11 px label."""

Segment = tuple[float, float, float, float]
"""A line in px: x1, y1, x2, y2."""

_WAYS = {
    "right": (1, 0), "left": (-1, 0), "above": (0, -1), "below": (0, 1),
    "above right": (1, -1), "below right": (1, 1), "above left": (-1, -1), "below left": (-1, 1),
}  # fmt: skip


class Box(NamedTuple):
    """A rectangle in px, y down."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Label:
    """A text and the points it may stand at; `ways` in order of liking.

    Args:
        anchors: positions (x, y) in px with the row that gives their data values.
        required: whether it is shown even where it cannot be clear of everything.
        gap: from the point's centre, in px.
    """

    text: str
    kind: str
    anchors: Sequence[tuple[float, float, Row]]
    ways: Sequence[str] = ("right", "below right", "below", "above", "above left", "left")
    required: bool = True
    gap: float = 8
    extra: Row = field(default_factory=dict)


def place(
    labels: Sequence[Label],
    size: tuple[float, float],
    marks: Sequence[Box],
    segments: Sequence[Segment],
    faint: Sequence[Segment] = (),
) -> Iterator[Row]:
    """Yields a row for each line of each label, in the order given, best place first.

    Args:
        labels: what to place; earlier ones choose first.
        size: width and height of the plot in px.
        marks: boxes no label should cover.
        segments: lines labels should stay off, x1, y1, x2, y2.
        faint: thin lines they may cross where that puts them closer to their point.
    """
    dots = [(*dot, 2.0) for segment in segments for dot in _dots(segment)]
    dots += [(*dot, 0.5) for segment in faint for dot in _dots(segment)]
    lines = np.array(dots, dtype=np.float64).reshape(-1, 3)
    covered = np.array([*marks], dtype=np.float64).reshape(-1, 4)
    taken: list[Box] = []
    for label in labels:
        choices = list(_choices(label, size))
        boxes = np.array([choice.box for choice in choices], dtype=np.float64)
        others = np.array([*taken], dtype=np.float64).reshape(-1, 4)
        cost = np.array([choice.cost for choice in choices]) + _crossed(boxes, lines)
        cost += _shared(boxes, others, 40) + _shared(boxes, covered, 12)
        best = int(cost.argmin())
        if cost[best] > 9 and not label.required:
            continue
        chosen = choices[best]
        box, (x, y, row) = chosen.box, chosen.anchor
        taken.append(box)
        edge = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}
        for number, line in enumerate(chosen.lines):
            yield {
                **label.extra, "text": line, "kind": label.kind, "align": chosen.align,
                "x": row["x"], "y": row["y"], "dx": round(edge[chosen.align] - x, 1),
                "dy": round(box.top + LINE * (number + 0.5) - y, 1),
            }  # fmt: skip


def _shared(boxes: np.ndarray, others: np.ndarray, each: float) -> np.ndarray:
    """Returns the area every box shares with the others, and `each` for being touched at all."""
    left, top, right, bottom = (boxes[:, [side]] for side in range(4))
    wide = np.minimum(right, others[:, 2]) - np.maximum(left, others[:, 0])
    high = np.minimum(bottom, others[:, 3]) - np.maximum(top, others[:, 1])
    area = np.maximum(wide, 0) * np.maximum(high, 0)
    return np.asarray((area + each * (area > 0)).sum(axis=1))


def _crossed(boxes: np.ndarray, dots: np.ndarray) -> np.ndarray:
    """Returns the weight of the dots of lines that lie in every box."""
    across, down, weight = dots.T
    left, top, right, bottom = (boxes[:, [side]] for side in range(4))
    inside = (across > left - 2) & (across < right + 2) & (down > top + 1) & (down < bottom - 1)
    return np.asarray(inside @ weight)


class _Choice(NamedTuple):
    """A place for a label, and what it costs before anything else is there."""

    cost: float
    box: Box
    lines: Sequence[str]
    anchor: tuple[float, float, Row]
    align: str


def _choices(label: Label, size: tuple[float, float]) -> Iterator[_Choice]:
    forms = [[label.text]]
    if label.kind == "series" and len(two_lines(label.text)) == 2:
        forms.append(two_lines(label.text))
    widths = [max(text_width(line) for line in lines) + 2 for lines in forms]
    for place, anchor in enumerate(label.anchors):
        x, y, _ = anchor
        for lines, wide in zip(forms, widths, strict=True):
            high = LINE * len(lines)
            for (liking, way), far in product(enumerate(label.ways), (0, 7)):
                right, down = _WAYS[way]
                gap = label.gap * (0.75 if right and down else 1) + far
                left = x + gap if right > 0 else x - gap - wide if right < 0 else x - wide / 2
                top = y + gap - 3 if down > 0 else y - gap - high + 3 if down < 0 else y - high / 2
                box = Box(left, top, left + wide, top + high)
                outside = (
                    max(0, -box.left) + max(0, box.right - size[0] - SLACK) + max(0, -18 - box.top)
                    + 2 * max(0, box.bottom - size[1])
                )  # fmt: skip
                cost = (
                    0.5 * liking + 0.35 * far + 0.9 * place + 1.5 * (len(lines) - 1) + 8 * outside
                )
                align = "left" if right > 0 else "right" if right < 0 else "center"
                yield _Choice(cost, box, lines, anchor, align)


def _dots(segment: Segment) -> Iterator[tuple[float, float]]:
    x1, y1, x2, y2 = segment
    count = max(1, math.ceil(math.hypot(x2 - x1, y2 - y1) / 5))
    for step in range(count + 1):
        yield x1 + (x2 - x1) * step / count, y1 + (y2 - y1) * step / count


def spread(places: Sequence[float], gap: float = LINE, end: float = math.inf) -> list[float]:
    """Moves positions apart to at least `gap`, as little as that takes, none beyond `end`."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [places[index] for index in order]
    for _ in range(60):
        for one in range(len(moved) - 1):
            short = gap - (moved[one + 1] - moved[one])
            if short > 1e-6:
                moved[one] -= short / 2
                moved[one + 1] += short / 2
    for place in range(len(moved) - 1, -1, -1):
        moved[place] = min(moved[place], end - gap * (len(moved) - 1 - place))
    found = [0.0] * len(places)
    for position, index in zip(moved, order, strict=True):
        found[index] = position
    return found
