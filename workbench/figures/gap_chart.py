"""The gap between ideal and measured: each subject twice at one height, joined by its gap."""

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from workbench.figures import layers, placement, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, Row, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.placement import Box, Label

HEIGHT = 300


def gaps(
    rows: Any,
    x: str | Axis | Mapping[str, Any],
    y: str | Axis | Mapping[str, Any],
    *,
    ideal: str = "ideal",
    title: str = "How far is each from its ideal?",
    subtitle: str = "Hollow: ideal · filled: measured",
    description: str = "",
    current: str = "",
    slots: Palette | Mapping[str, int] | None = None,
    height: int = HEIGHT,
) -> Chart:
    """Draws each row at its ideal place (hollow) and its measured one (filled), joined.

    A line joins the hollow marks of a family, and another its filled ones. On a logarithmic axis
    equal segments are equal ratios.

    Args:
        rows: data frame or mappings: `method` (the family), `trial_id`, the columns of both axes
            and of the ideal, and where known `label`, `low` and `high` of the measured value, and
            `told`. A row whose measured value is missing has its hollow mark alone.
        x, y: the measured quantity and the height, a column or an `Axis`.
        ideal: column of the same quantity at its ideal.
        title: the question.
        current: trial of the present setting.
        slots: palette or slot by method; the shared palette when None.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing or an axis cannot hold the rows.
    """
    across, up = Axis.of(x), Axis.of(y)
    found = records(rows, (across.column, ideal, up.column, "method"), "gaps")
    used = slots_of(found, "method", slots)
    kept = [row for row in found if row[ideal] is not None is not row[up.column]]
    across = across.fitted([row.get(name) for row in kept for name in (ideal, across.column)])
    up = up.fitted([row[up.column] for row in kept])
    live = _live(kept, across, up, ideal, used, current)
    said = description or _finding(title, kept, across, ideal)
    return Chart(
        form="gaps",
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
            "gaps": _gaps(live),
            "spread": [row for row in live if row["x_low"] is not None is not row["x_high"]],
            "labels": _labels(live, across, up, height),
        },
        arguments={
            "x": across.record(), "y": up.record(), "ideal": ideal, "title": title,
            "subtitle": subtitle, "description": description, "current": current, "slots": used,
            "height": height,
        },
        source=found,
    )  # fmt: skip


def _live(
    kept: Sequence[Row], x: Axis, y: Axis, ideal: str, used: Mapping[str, int], current: str
) -> list[Row]:
    live: list[Row] = []
    for place, row in enumerate(kept):
        method = str(row["method"])
        trial = str(row["trial_id"]) if row.get("trial_id") is not None else f"{method} {place}"
        label = str(row["label"]) if row.get("label") is not None else ""
        for hollow, value in ((True, row[ideal]), (False, row[x.column])):
            if value is None:
                continue
            low, high = (None, None) if hollow else (row.get("low"), row.get("high"))
            words = " · ".join(
                [", ".join(filter(None, (method, label))), x.written(value),
                 y.written(row[y.column])]
            )  # fmt: skip
            live.append({
                "key": f"{trial} {'ideal' if hollow else 'measured'}",
                "trial": trial, "load": trial, "method": method, "slot": used[method],
                "label": label, "value": value, "height": row[y.column],
                "x": x.plotted(value), "y": y.plotted(row[y.column]),
                "x_low": x.plotted(low), "x_high": x.plotted(high), "predicted": hollow,
                "current": trial == current and (not hollow or row[x.column] is None),
                "told": str(row["told"]) if row.get("told") is not None else words,
            })  # fmt: skip
    return live


def _pairs(live: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The ideal and the measured point of each trial that has both."""
    measured = {row["trial"]: row for row in live if not row["predicted"]}
    return [
        (row, measured[row["trial"]])
        for row in live
        if row["predicted"] and row["trial"] in measured
    ]


def _gaps(live: Sequence[Row]) -> list[Row]:
    return [
        {"slot": hollow["slot"], "x": hollow["x"], "x2": filled["x"], "y": hollow["y"],
         "present": filled["current"]}
        for hollow, filled in _pairs(live)
    ]  # fmt: skip


def _families(live: Sequence[Row]) -> list[list[Row]]:
    """Points that a line joins: a family's ideal ones, or its measured ones, by height."""
    found: dict[tuple[str, bool], list[Row]] = {}
    for row in live:
        found.setdefault((row["method"], row["predicted"]), []).append(row)
    return [sorted(points, key=lambda row: (row["y"], row["x"])) for points in found.values()]


def _labels(live: Sequence[Row], x: Axis, y: Axis, height: int) -> list[Row]:
    """Families beside an end of their measured line, subjects beside their measured point."""
    found: list[Row] = []
    families = _families(live)
    for low, high, width in placement.WIDTHS:
        across, down = x.pixels(width), y.pixels(height, flip=True)
        at = {row["key"]: (across(row["x"]), down(row["y"]), row) for row in live}
        marks = [Box(px - 6, py - 6, px + 6, py + 6) for px, py, _ in at.values()]
        segments = [
            (*at[one["key"]][:2], *at[two["key"]][:2])
            for points in families for one, two in pairwise(points)
        ]  # fmt: skip
        segments += [(*at[one["key"]][:2], *at[two["key"]][:2]) for one, two in _pairs(live)]
        wanted = []
        for points in families:
            if points[0]["predicted"] and any(
                points[0]["method"] == other[0]["method"] and not other[0]["predicted"]
                for other in families
            ):
                continue
            wanted.append(
                Label(points[0]["method"], "series", [at[r["key"]] for r in points[::-1]],
                      ("right", "above right", "below right", "above", "below", "left"),
                      gap=10, extra={"slot": points[0]["slot"]})
            )  # fmt: skip
        ends = {row["trial"] for row in live if not row["predicted"]}
        wanted += [
            Label(row["label"], "point", [at[row["key"]]],
                  ("right", "below right", "above right", "below", "above"),
                  required=row["current"], gap=12 if row["current"] else 8,
                  extra={"slot": row["slot"]})
            for row in sorted(live, key=lambda row: not row["current"])
            if row["label"] and (not row["predicted"] or row["trial"] not in ends)
        ]  # fmt: skip
        placed = placement.place(wanted, (width, height), marks, segments)
        found += [{**row, "lo": low, "hi": high} for row in placed]
    return found


def _finding(title: str, kept: Sequence[Row], x: Axis, ideal: str) -> str:
    both = [row for row in kept if row[x.column] is not None]
    if not both:
        return f"{title} {len(kept)} ideals, nothing measured yet."
    ratios = {str(row.get("label") or row["method"]): row[x.column] / row[ideal] for row in both}
    least, most = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
    return (
        f"{title} {x.name}, {len(both)} measured: from {number(ratios[least])} times the ideal "
        f"({least}) to {number(ratios[most])} times ({most})."
    )


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(x_axis: Axis, y_axis: Axis, height: int) -> dict[str, Any]:
    x, y = layers.x_channel(x_axis), layers.y_channel(y_axis)
    live = alt.Chart(layers.source("live"))
    stroke = layers.hue(alt.Stroke)
    ideal = live.transform_filter("datum.predicted").encode(
        x=x, y=y, detail="method:N", order="y:Q"
    )
    measured = live.transform_filter("!datum.predicted").encode(
        x=x, y=y, detail="method:N", order="y:Q"
    )
    gap = (
        alt.Chart(layers.source("gaps"), name="gaps")
        .mark_rule(strokeWidth=layers.expr("datum.present ? 2.4 : 1"), strokeDash=[1, 0])
        .encode(
            x=x, x2="x2:Q", y=y, stroke=stroke,
            opacity=alt.condition("datum.present", alt.value(1), alt.value(0.4)),
        )
    )  # fmt: skip
    spread = (
        alt.Chart(layers.source("spread"), name="spread")
        .mark_rule(strokeWidth=3, opacity=0.4)
        .encode(x=alt.X("x_low:Q"), x2="x_high:Q", y=y, stroke=stroke)
    )
    near = alt.selection_point(
        name="near", fields=["key"], on="pointerover", clear="pointerout", empty=False
    )
    parts = [
        gap,
        ideal.mark_line(strokeWidth=2.8).encode(stroke=stroke).properties(name="cased"),
        ideal.mark_line(strokeWidth=1.3, stroke=theme.var("paper")).properties(name="core"),
        measured.mark_line(strokeWidth=1.6).encode(stroke=stroke).properties(name="solid"),
        spread,
        layers.ring(x, y),
        layers.points(x, y).add_params(near),
        *layers.labels(x, y),
        *layers.readout(near, height),
    ]
    columns = [
        {"field": "method", "title": "Family"},
        {"field": "label", "title": "Which"},
        {"field": "value", "title": x_axis.name, "unit": x_axis.unit},
        {"field": "height", "title": y_axis.name, "unit": y_axis.unit},
        {"field": "predicted", "title": "Basis"},
    ]
    about = {"series": "method", "travel": ["points"], "columns": columns, "speech": columns[2:4]}
    return layers.finish(alt.layer(*parts), height, about)
