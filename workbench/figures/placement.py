"""Where labels stand: beside their points, clear of marks, lines and each other.

Only the browser knows a chart's width, and a picture must be the same in both. So labels are
placed here for a few nominal widths, each label row saying for which widths it holds
(`lo` ≤ width < `hi`); offsets are from the label's own data point, so between nominal widths
a label moves with its point.
"""

import functools
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


_ALIGN = {1: "left", -1: "right", 0: "center"}


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
    if not labels:
        return
    lines = np.concatenate([_dots(segments, 2.0), _dots(faint, 0.5)])
    covered = np.array([*marks], dtype=np.float64).reshape(-1, 4)
    choices = [_choices(label) for label in labels]
    boxes = np.concatenate([choice.boxes for choice in choices])
    cost = np.concatenate([choice.cost for choice in choices]) + 8 * _outside(boxes, size)
    cost += _crossed(boxes, lines) + _shared(boxes, covered, 12)
    taken: list[Box] = []
    start = 0
    for label, choice in zip(labels, choices, strict=True):
        places = slice(start, start := start + len(choice.boxes))
        others = np.array([*taken], dtype=np.float64).reshape(-1, 4)
        found = cost[places] + _shared(boxes[places], others, 40)
        best = int(found.argmin())
        if found[best] > 9 and not label.required:
            continue
        box = Box(*choice.boxes[best].tolist())
        anchor, words, align = choice.place(best)
        x, y, row = label.anchors[anchor]
        taken.append(box)
        edge = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}
        for number, line in enumerate(words):
            yield {
                **label.extra, "text": line, "kind": label.kind, "align": align,
                "x": row["x"], "y": row["y"], "dx": round(edge[align] - x, 1),
                "dy": round(box.top + LINE * (number + 0.5) - y, 1),
            }  # fmt: skip


def _outside(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Returns how far every box reaches beyond the plot, px; twice as much below it."""
    left, top, right, bottom = boxes.T
    across = np.maximum(-left, 0) + np.maximum(right - size[0] - SLACK, 0)
    return np.asarray(across + np.maximum(-18 - top, 0) + 2 * np.maximum(bottom - size[1], 0))


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


class _Choices(NamedTuple):
    """The places of a label: by anchor, then by form, way and distance."""

    boxes: np.ndarray
    """[places, 4]: left, top, right, bottom in px."""
    cost: np.ndarray
    """[places], before anything else is there."""
    around: "_Around"

    def place(self, best: int) -> tuple[int, Sequence[str], str]:
        """Returns the anchor, the lines and the alignment of a place."""
        anchor, which = divmod(best, len(self.around.cost))
        return anchor, self.around.lines[which], self.around.align[which]


class _Around(NamedTuple):
    """The places of a text around a point at (0, 0)."""

    boxes: np.ndarray
    cost: np.ndarray
    lines: Sequence[Sequence[str]]
    align: Sequence[str]


def _choices(label: Label) -> _Choices:
    around = _around(label.text, label.kind == "series", tuple(label.ways), label.gap)
    spots = np.array([(x, y, x, y) for x, y, _ in label.anchors], dtype=np.float64)
    boxes = (spots[:, None] + around.boxes).reshape(-1, 4)
    cost = 0.9 * np.arange(len(spots))[:, None] + around.cost
    return _Choices(boxes, cost.reshape(-1), around)


@functools.lru_cache(maxsize=1024)
def _around(text: str, breaks: bool, ways: Sequence[str], gap: float) -> _Around:
    """Places in order of form, way and distance; names of series may break into two lines."""
    forms = [[text], two_lines(text)] if breaks and len(two_lines(text)) == 2 else [[text]]
    boxes, costs, words, align = [], [], [], []
    for lines, (liking, way), far in product(forms, enumerate(ways), (0, 7)):
        wide, high = max(text_width(line) for line in lines) + 2, LINE * len(lines)
        right, down = _WAYS[way]
        apart = gap * (0.75 if right and down else 1) + far
        left = apart if right > 0 else -apart - wide if right < 0 else -wide / 2
        top = apart - 3 if down > 0 else 3 - apart - high if down < 0 else -high / 2
        boxes.append((left, top, left + wide, top + high))
        costs.append(0.5 * liking + 0.35 * far + 1.5 * (len(lines) - 1))
        words.append(lines)
        align.append(_ALIGN[right])
    return _Around(np.array(boxes, dtype=np.float64), np.array(costs), words, align)


def _dots(segments: Sequence[Segment], weight: float) -> np.ndarray:
    """Returns [dots, 3]: x, y and weight, a dot about every 5 px of each segment."""
    ends = np.array([*segments], dtype=np.float64).reshape(-1, 2, 2)
    way = ends[:, 1] - ends[:, 0]
    steps = np.maximum(1, np.ceil(np.hypot(*way.T) / 5)).astype(int)
    which = np.repeat(np.arange(len(ends)), steps + 1)
    first = np.cumsum(steps + 1) - steps - 1
    share = (np.arange(len(which)) - first[which]) / steps[which]
    dots = ends[which, 0] + way[which] * share[:, None]
    return np.column_stack([dots, np.full(len(which), weight)])


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
