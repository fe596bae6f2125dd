"""What is named in a chart of quality against cost, and where the names stand."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from workbench.figures import placement
from workbench.figures.axes import Axis
from workbench.figures.chart import Row
from workbench.figures.placement import Box, Label
from workbench.figures.text import text_width

Spots = Mapping[str, tuple[float, float, Row]]


Better = Literal["higher", "lower"]


def front(points: Sequence[Row], better: Better = "higher") -> list[Row]:
    """Returns the points that no other beats in cost and quality both, cheapest first."""
    sign = 1 if better == "higher" else -1
    found: list[Row] = []
    for row in sorted(points, key=lambda row: (row["x"], -sign * row["y"])):
        if not found or sign * row["y"] > sign * found[-1]["y"]:
            found.append(row)
    return found


def families(live: Sequence[Row], better: Better = "higher") -> list[list[Row]]:
    """Returns the front of each method: its points that a line joins."""
    methods: dict[str, list[Row]] = {}
    for row in live:
        if not row["twin"]:
            methods.setdefault(row["method"], []).append(row)
    return [front(points, better) for points in methods.values()]


def labels(
    live: Sequence[Row], x: Axis, y: Axis, height: int, names: Mapping[str, str], better: Better
) -> list[Row]:
    """Returns the placed texts, for each range of widths.

    Pinned and present settings, the front of all methods and the ends of each method's line carry
    their setting, a method its name; what has no room beside its point is left out.
    """
    joined = families(live, better)
    best = {row["key"] for row in front([row for points in joined for row in points], better)}
    told = best | {row["key"] for points in joined for row in (points[0], points[-1])}
    told |= {row["key"] for row in live if row["current"] or row["pin"]}
    rows: list[Row] = []
    for low, high, width in placement.WIDTHS:
        across, down = x.pixels(width), y.pixels(height, flip=True)
        at = {row["key"]: (across(row["x"]), down(row["y"]), row) for row in live}
        marks = [
            Box(px - reach, py - reach, px + reach, py + reach)
            for px, py, row in at.values()
            for reach in [11 if row["current"] else 5]
        ]
        marks.append(Box(-60, -40, text_width(y.name) - 24, -8))
        segments = [
            (*at[one["key"]][:2], *at[two["key"]][:2])
            for points in joined
            for one, two in pairwise(points)
        ]
        whiskers = [
            (across(row["x_low"]), py, across(row["x_high"]), py)
            for _, py, row in at.values()
            if row["x_low"] is not None is not row["x_high"]
        ]
        whiskers += [
            (px, down(row["y_low"]), px, down(row["y_high"]))
            for px, _, row in at.values()
            if row["y_low"] is not None is not row["y_high"]
        ]
        wanted = [*_pins(at), *_settings(live, at, told, best, better), *_names(joined, at, names)]
        rows += [
            {**row, "lo": low, "hi": high}
            for row in placement.place(wanted, (width, height), marks, segments, whiskers)
        ]
    return rows


def _pins(at: Spots) -> list[Label]:
    ways = ("above", "right", "left", "above left", "above right", "below")
    return [
        Label(spot[2]["pin"], "pin", [spot], ways, gap=12 if spot[2]["current"] else 9,
              extra={"slot": spot[2]["slot"]})
        for spot in at.values() if spot[2]["pin"]
    ]  # fmt: skip


def _names(joined: Sequence[Sequence[Row]], at: Spots, names: Mapping[str, str]) -> list[Label]:
    ways = (
        "above", "right", "left", "below right", "above left", "below", "above right", "below left",
    )  # fmt: skip
    if len(joined) > 6:
        return []  # the method list of the panel is the legend then
    found = []
    for points in joined:
        ends = [points[0], points[-1], *points[1:-1]][:6] if len(points) > 1 else points
        found.append(
            Label(
                names.get(points[0]["method"], points[0]["method"]),
                "series",
                [at[row["key"]] for row in ends],
                ways,
                gap=13 if any(row["current"] for row in points) else 9,
                extra={"slot": points[0]["slot"]},
            )
        )
    return sorted(found, key=lambda label: len(label.anchors))


def _settings(
    live: Sequence[Row], at: Spots, told: set[str], best: set[str], better: Better
) -> list[Label]:
    beyond = "above" if better == "higher" else "below"  # no point lies beyond the front
    outside = (f"{beyond} left", "left", beyond, "right", "below right", "below")
    inside = ("below right", "right", "below", "left", "above left", "above", "below left")
    found = [
        Label(row["label"], "point", [at[row["key"]]], outside if row["key"] in best else inside,
              required=row["current"], gap=12 if row["current"] else 8, extra={"slot": row["slot"]})
        for row in live if row["label"] and row["key"] in told and not row["twin"]
    ]  # fmt: skip
    return sorted(found, key=lambda label: (not label.required, label.anchors[0][0]))
