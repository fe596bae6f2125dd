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

import numpy as np

from workbench.figures.chart import Row
from workbench.figures.text import text_width, two_lines

WIDTHS: tuple[tuple[float, float, float], ...] = (
    (0, 330, 280),
    (330, 430, 375),
    (430, 570, 490),
    (570, 1e9, 680),
)
"""Plot widths: from, to, and the nominal one labels are placed for, in px."""

LINE = 14
"""Height of a line of an 11 px label."""

Segment = tuple[float, float, float, float]
"""A line in px: x1, y1, x2, y2."""

_WAYS = {
    "right": (1, 0), "left": (-1, 0), "above": (0, -1), "below": (0, 1),
    "above right": (1, -1), "below right": (1, 1), "above left": (-1, -1), "below left": (-1, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A rectangle in px, y down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Returns the common area in px²."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0) * max(high, 0)


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
    across, down, weight = np.array(dots, dtype=np.float64).reshape(-1, 3).T
    taken: list[Box] = []
    for label in labels:
        best: tuple[float, Box, list[str], Row, str, float, float] | None = None
        for choice in sorted(_choices(label, size), key=lambda choice: choice[0]):
            cost, box, lines, row, align, x, y = choice
            if best is not None and cost >= best[0]:
                break
            cost += sum(40 + shared for other in taken if (shared := box.overlap(other)))
            cost += sum(12 + shared for mark in marks if (shared := box.overlap(mark)))
            if best is not None and cost >= best[0]:
                continue
            inside = (across > box.left - 2) & (across < box.right + 2)
            inside &= (down > box.top + 1) & (down < box.bottom - 1)
            cost += float(weight[inside].sum())
            if best is None or cost < best[0]:
                best = cost, box, lines, row, align, x, y
        if best is None or (best[0] > 9 and not label.required):
            continue
        _, box, lines, row, align, x, y = best
        taken.append(box)
        for number, line in enumerate(lines):
            edge = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}
            yield {
                **label.extra, "text": line, "kind": label.kind, "align": align,
                "x": row["x"], "y": row["y"], "dx": round(edge[align] - x, 1),
                "dy": round(box.top + LINE * (number + 0.5) - y, 1),
            }  # fmt: skip


def _choices(label: Label, size: tuple[float, float]) -> Iterator[tuple]:
    forms = [[label.text]]
    if label.kind == "series" and len(two_lines(label.text)) == 2:
        forms.append(two_lines(label.text))
    for place, (x, y, row) in enumerate(label.anchors):
        for lines in forms:
            wide = max(text_width(line) for line in lines) + 2
            high = LINE * len(lines)
            for (liking, way), far in product(enumerate(label.ways), (0, 7)):
                right, down = _WAYS[way]
                gap = label.gap * (0.75 if right and down else 1) + far
                left = x + gap if right > 0 else x - gap - wide if right < 0 else x - wide / 2
                top = y + gap - 3 if down > 0 else y - gap - high + 3 if down < 0 else y - high / 2
                box = Box(left, top, left + wide, top + high)
                outside = (
                    max(0, -box.left) + max(0, box.right - size[0]) + max(0, -18 - box.top)
                    + 2 * max(0, box.bottom - size[1])
                )  # fmt: skip
                cost = (
                    0.5 * liking + 0.35 * far + 0.9 * place + 1.5 * (len(lines) - 1) + 8 * outside
                )
                align = "left" if right > 0 else "right" if right < 0 else "center"
                yield cost, box, lines, row, align, x, y


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
