"""Where labels stand: beside their points, clear of marks, lines and each other.

Only the browser knows a chart's width, and a picture must be the same in both. So labels are
placed here for a few nominal widths, each label row saying for which widths it holds
(`lo` ≤ width < `hi`); offsets are from the label's own data point, so between nominal widths
a label moves with its point.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    lines = np.concatenate([_dots(segments, 2.0), _dots(faint, 0.5)])
    covered = np.array([*marks], dtype=np.float64).reshape(-1, 4)
    taken: list[Box] = []
    for label in labels:
        choices = _choices(label, size)
        others = np.array([*taken], dtype=np.float64).reshape(-1, 4)
        cost = choices.cost + _crossed(choices.boxes, lines)
        cost += _shared(choices.boxes, others, 40) + _shared(choices.boxes, covered, 12)
        best = int(cost.argmin())
        if cost[best] > 9 and not label.required:
            continue
        box = Box(*choices.boxes[best].tolist())
        anchor, words, way = choices.place(best)
        x, y, row = label.anchors[anchor]
        align = _ALIGN[_WAYS[label.ways[way]][0]]
        taken.append(box)
        edge = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}
        for number, line in enumerate(words):
            yield {
                **label.extra, "text": line, "kind": label.kind, "align": align,
                "x": row["x"], "y": row["y"], "dx": round(edge[align] - x, 1),
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


class _Choices(NamedTuple):
    """The places of a label, an axis each for anchor, form, way and distance, all flattened."""

    boxes: np.ndarray
    """[places, 4]: left, top, right, bottom in px."""
    cost: np.ndarray
    """[places], before anything else is there."""
    forms: Sequence[Sequence[str]]
    shape: tuple[int, int, int, int]

    def place(self, best: int) -> tuple[int, Sequence[str], int]:
        """Returns the anchor, the lines and the way of a place."""
        anchor, form, way, _ = (int(place) for place in np.unravel_index(best, self.shape))
        return anchor, self.forms[form], way


def _choices(label: Label, size: tuple[float, float]) -> _Choices:
    forms = [[label.text]]
    if label.kind == "series" and len(two_lines(label.text)) == 2:
        forms.append(two_lines(label.text))
    wide = np.array([max(text_width(line) for line in lines) + 2 for lines in forms])
    high = LINE * np.array([len(lines) for lines in forms], dtype=np.float64)
    wide, high = wide[:, None, None], high[:, None, None]
    right, down = np.array([_WAYS[way] for way in label.ways], dtype=np.float64).T[:, :, None]
    far = np.array([0.0, 7.0])
    gap = label.gap * np.where((right != 0) & (down != 0), 0.75, 1.0) + far
    # From the anchor: left and top of the box by form, way and distance.
    across = np.where(right > 0, gap, np.where(right < 0, -gap - wide, -wide / 2))
    below = np.where(down > 0, gap - 3, np.where(down < 0, 3 - gap - high, -high / 2))
    spots = np.array([spot[:2] for spot in label.anchors], dtype=np.float64)
    left = spots[:, 0, None, None, None] + across
    top = spots[:, 1, None, None, None] + below
    end, foot = left + wide, top + high
    outside = (
        np.maximum(-left, 0) + np.maximum(end - size[0] - SLACK, 0)
        + np.maximum(-18 - top, 0) + 2 * np.maximum(foot - size[1], 0)
    )  # fmt: skip
    place = np.arange(len(spots))[:, None, None, None]
    lines = np.arange(len(forms))[:, None, None]
    liking = np.arange(len(label.ways))[:, None]
    cost = 0.5 * liking + 0.35 * far + 0.9 * place + 1.5 * lines + 8 * outside
    boxes = np.stack([left, top, end, foot], axis=-1).reshape(-1, 4)
    return _Choices(boxes, cost.reshape(-1), forms, cost.shape)


def _dots(segments: Sequence[Segment], weight: float) -> np.ndarray:
    """Returns [dots, 3]: x, y and weight, a dot about every 5 px of each segment."""
    found = [np.empty((0, 3))]
    for x1, y1, x2, y2 in segments:
        share = np.linspace(0, 1, max(1, math.ceil(math.hypot(x2 - x1, y2 - y1) / 5)) + 1)
        found.append(
            np.stack([x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, 0 * share + weight], axis=1)
        )
    return np.concatenate(found)


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
