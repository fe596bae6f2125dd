"""The roofline: work against what a device allows, with the roof above every point."""

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from workbench.figures import layers, placement, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, ChartError, Row, is_predicted, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.placement import Box, Label

HEIGHT = 250

INTENSITY = Axis("intensity", "Arithmetic intensity (flop per byte)", scale="log")
RATE = Axis("rate", "Tflop/s", scale="log")

_LINE = (1.6, 0.9)
"""Width of the roof of the device looked at, and of the others, px."""


def roofline(
    rows: Any,
    x: str | Axis | Mapping[str, Any] = INTENSITY,
    y: str | Axis | Mapping[str, Any] = RATE,
    *,
    roofs: Sequence[Mapping[str, Any]] = (),
    title: str = "What does the device allow?",
    subtitle: str = "Hollow: at best, on the roof · filled: measured",
    description: str = "",
    slots: Palette | Mapping[str, int] | None = None,
    current: str = "",
    height: int = HEIGHT,
) -> Chart:
    """Draws work by its intensity and rate under the roofs of devices (Williams et al. 2009).

    A roof is min(peak, intensity × bandwidth). A predicted row (on the roof) and a measured one
    with the same `trial_id` are joined by a hairline: its length is what is lost.

    Args:
        rows: data frame or mappings: `method`, the columns of both axes, and where known
            `trial_id`, `label`, `predicted` or `basis`, and `told`.
        x, y: intensity and rate, a column or an `Axis` with a logarithmic scale.
        roofs: mappings `name`, `peak` and `bandwidth`, in the units of y and of y over x; the one
            with `current` true is drawn stronger.
        title: the question.
        slots: palette or slot by method; the shared palette when None.
        current: trial of the present setting.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing, an axis is not logarithmic, or a value not positive.
    """
    across, up = Axis.of(x), Axis.of(y)
    for axis in (across, up):
        if axis.scale != "log":
            raise ChartError(f"roofline: {axis.column} needs a logarithmic axis, not {axis.scale}")
    found = records(rows, (across.column, up.column, "method"), "roofline")
    used = slots_of(found, "method", slots)
    kept = [row for row in found if row[across.column] is not None is not row[up.column]]
    known = [(row[across.column], row[up.column]) for row in kept]
    ridges = [(roof["peak"] / roof["bandwidth"], roof["peak"]) for roof in roofs]
    places = known + ridges or [(1.0, 1.0)]
    across = across.fitted([f * place[0] for place in places for f in (0.25, 4)])
    up = up.fitted([*(value for _, value in places), *(value / 30 for _, value in ridges)])
    live = [_live(row, place, across, up, used, current) for place, row in enumerate(kept)]
    lines = [row for roof in roofs for row in _roof(roof, across.ends, up.ends)]
    said = description or _finding(title, live)
    return Chart(
        form="roofline",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(
            _spec(across.form, up.form, height),
            said,
            layers.ends("x", across) | layers.ends("y", up),
        ),
        rows={
            "live": live,
            "roofs": lines,
            "leaders": _leaders(live),
            "labels": _labels(live, lines, across, up, height),
        },
        arguments={
            "x": across.record(), "y": up.record(), "roofs": [dict(roof) for roof in roofs],
            "title": title, "subtitle": subtitle, "description": description, "slots": used,
            "current": current, "height": height,
        },
        source=found,
    )  # fmt: skip


def _live(row: Row, place: int, x: Axis, y: Axis, used: Mapping[str, int], current: str) -> Row:
    method, hollow = str(row["method"]), is_predicted(row)
    trial = str(row["trial_id"]) if row.get("trial_id") is not None else f"{method} {place}"
    label = str(row["label"]) if row.get("label") is not None else ""
    intensity, rate = row[x.column], row[y.column]
    told = ", ".join(filter(None, (method, label)))
    told = f"{told} · {number(intensity)} flop/B · {y.written(rate)}"
    return {
        "key": f"{trial} {'at best' if hollow else 'measured'}", "trial": trial, "load": trial,
        "method": method, "slot": used[method], "label": label,
        "intensity": intensity, "rate": rate, "x": intensity, "y": rate, "predicted": hollow,
        "current": trial == current and not hollow,
        "told": str(row["told"]) if row.get("told") is not None else told,
    }  # fmt: skip


def _roof(roof: Mapping[str, Any], across: Sequence[float], up: Sequence[float]) -> list[Row]:
    """Returns the roof inside the plot: along the bandwidth, then along the peak."""
    peak, bandwidth = float(roof["peak"]), float(roof["bandwidth"])
    left = max(across[0], up[0] / bandwidth)
    corners = [(left, min(peak, left * bandwidth)), (peak / bandwidth, peak), (across[1], peak)]
    look = {"name": str(roof["name"]), "present": bool(roof.get("current"))}
    return [
        {**look, "x": x, "y": y, "width": _LINE[not look["present"]]}
        for x, y in corners if across[0] <= x <= across[1] and up[0] <= y <= up[1]
    ]  # fmt: skip


def _leaders(live: Sequence[Row]) -> list[Row]:
    landed = {row["trial"]: row for row in live if not row["predicted"]}
    return [
        {"slot": row["slot"], "x": row["x"], "y": row["y"],
         "x2": landed[row["trial"]]["x"], "y2": landed[row["trial"]]["y"]}
        for row in live if row["predicted"] and row["trial"] in landed
    ]  # fmt: skip


def _labels(live: Sequence[Row], roofs: Sequence[Row], x: Axis, y: Axis, height: int) -> list[Row]:
    """Devices at the end of their roof, work beside its measured point or its place on the roof."""
    lines = {row["name"] for row in roofs}  # a point that names its roof again says nothing
    named = {row["trial"]: row for row in live if row["predicted"] and row["label"] not in lines}
    named |= {row["trial"]: row for row in live if not row["predicted"]}
    found: list[Row] = []
    for low, high, width in placement.WIDTHS:
        across, down = x.pixels(width), y.pixels(height, flip=True)
        marks = [
            Box(px - 6, py - 6, px + 6, py + 6)
            for row in live for px, py in [(across(row["x"]), down(row["y"]))]
        ]  # fmt: skip
        by_name: dict[str, list[Row]] = {}
        for row in roofs:
            by_name.setdefault(row["name"], []).append(row)
        segments = [
            (across(one["x"]), down(one["y"]), across(two["x"]), down(two["y"]))
            for corners in by_name.values()
            for one, two in pairwise(corners)
        ]
        wanted = [
            Label(name, "point", [(across(corners[-1]["x"]), down(corners[-1]["y"]), corners[-1])],
                  ("above left", "below left"), gap=3)
            for name, corners in by_name.items() if corners
        ]  # fmt: skip
        wanted += [
            Label(row["label"] or row["method"], "series",
                  [(across(row["x"]), down(row["y"]), row)], extra={"slot": row["slot"]})
            for row in named.values()
        ]  # fmt: skip
        placed = placement.place(wanted, (width, height), marks, segments)
        found += [{"slot": None, **row, "lo": low, "hi": high} for row in placed]
    return found


def _finding(title: str, live: Sequence[Row]) -> str:
    measured = [row for row in live if not row["predicted"]]
    if not live:
        return f"{title} Nothing to place yet."
    if not measured:
        return f"{title} {len(live)} predicted, none measured yet."
    best = max(measured, key=lambda row: row["rate"])
    return f"{title} Highest measured: {best['told']}."


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(x_axis: Axis, y_axis: Axis, height: int) -> dict[str, Any]:
    x, y = layers.x_channel(x_axis), layers.y_channel(y_axis)
    roofs = (
        alt.Chart(layers.source("roofs"), name="roofs")
        .mark_line(strokeJoin="round", color=theme.var("t2"))
        .encode(
            x=x, y=y, detail="name:N", order="x:Q",
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            opacity=alt.condition("datum.present", alt.value(1), alt.value(0.45)),
        )
    )  # fmt: skip
    leaders = (
        alt.Chart(layers.source("leaders"), name="leaders")
        .mark_rule(strokeWidth=1, strokeDash=[1, 0])
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q", stroke=layers.hue(alt.Stroke))
    )
    near = alt.selection_point(
        name="near", fields=["key"], on="pointerover", clear="pointerout", empty=False
    )
    points = layers.points(x, y).add_params(near)
    parts = [
        roofs, leaders, layers.ring(x, y), points, *layers.labels(x, y),
        *layers.readout(near, height),
    ]  # fmt: skip
    columns = [
        {"field": "method", "title": "Work"},
        {"field": "label", "title": "Setting"},
        {"field": "intensity", "title": x_axis.name, "unit": x_axis.unit},
        {"field": "rate", "title": y_axis.name, "unit": y_axis.unit},
        {"field": "predicted", "title": "Basis"},
    ]
    about = {"series": "method", "travel": ["points"], "columns": columns, "speech": columns[2:4]}
    return layers.finish(alt.layer(*parts), height, about)
