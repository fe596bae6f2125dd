"""Medians with the range around them, in groups one under the other."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import layers, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, Row, is_predicted, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.text import text_width

ROW, GAP = 13.0, 9.0
"""Height of a range, and the room between two groups, px."""

LEAST = 96.0
"""Least height of the plot, px."""


def ranges(
    rows: Any,
    value: str | Axis | Mapping[str, Any] = "value",
    group: str = "group",
    *,
    title: str = "How far apart are they?",
    subtitle: str = "",
    description: str = "",
    slots: Palette | Mapping[str, int] | None = None,
    level: float | None = None,
) -> Chart:
    """Draws a mark and the range around it for each row, groups in the order they come.

    Args:
        rows: data frame or mappings: `method`, the group's column and the value's, and where known
            `low` and `high` (what they are stands in the subtitle), `label` for the table, `key`,
            and `predicted` or `basis`.
        value: a column or an `Axis`.
        group: column of the names at the left.
        title: the question.
        slots: palette or slot by method; the shared palette when None.
        level: x of a rule across the plot, what the values are held against.

    Raises:
        ChartError: if a column is missing or the axis cannot hold the rows.
    """
    axis = Axis.of(value)
    found = records(rows, (axis.column, group, "method"), "ranges")
    used = slots_of(found, "method", slots)
    arguments = {
        "value": axis.record(), "group": group, "title": title, "subtitle": subtitle,
        "description": description, "slots": used, "level": level,
    }  # fmt: skip
    kept = [row for row in found if row[axis.column] is not None]
    axis = axis.fitted([level, *(row.get(n) for row in kept for n in (axis.column, "low", "high"))])
    live, names, height = _placed(kept, axis, group, used)
    room = max((text_width(name["text"]) for name in names), default=0.0)
    said = description or _finding(title, live)
    values = layers.ends("x", axis) | {"gutter": round(room + 10)}
    return Chart(
        form="ranges",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(_spec(axis.form, round(height)), said, values),
        rows={
            "live": live,
            "names": names,
            "level": [] if level is None else [{"x": axis.plotted(level)}],
        },
        arguments=arguments,
        source=found,
    )


def _placed(
    kept: Sequence[Row], axis: Axis, group: str, used: Mapping[str, int]
) -> tuple[list[Row], list[Row], float]:
    """The ranges and the groups' names at their heights, and the height of all."""
    live: list[Row] = []
    names: list[Row] = []
    top, before = 0.0, None
    for row in kept:
        name, method = str(row[group]), str(row["method"])
        if name != before:
            top += GAP if names else 4.0
            names.append({"text": name, "y": top + ROW / 2})
            before = name
        low, high = row.get("low"), row.get("high")
        live.append({
            "key": str(row.get("key", f"{name} {len(live)}")), "method": method,
            "slot": used[method], "label": str(row.get("label", name)), "group": name,
            "value": row[axis.column], "low": low, "high": high, "y": top + ROW / 2,
            "x": axis.plotted(row[axis.column]), "x_low": axis.plotted(low),
            "x_high": axis.plotted(high), "predicted": is_predicted(row),
        })  # fmt: skip
        top += ROW
    return live, names, max(top + 4.0, LEAST)


def _finding(title: str, live: Sequence[Row]) -> str:
    if not live:
        return f"{title} No values yet."
    most = max(live, key=lambda row: row["value"])
    least = min(live, key=lambda row: row["value"])
    return (
        f"{title} From {number(least['value'])} ({least['label']}) "
        f"to {number(most['value'])} ({most['label']})."
    )


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(axis: Axis, height: int) -> dict[str, Any]:
    look = {"grid": True}
    edge = {"range": [{"expr": "gutter"}, {"expr": "width - 10"}]}
    x = layers.x_channel(axis, scale=edge, look=look)
    down = alt.Scale(domain=[0, height], range=[0, height], nice=False, zero=False)
    y = alt.Y("y:Q", scale=down, axis=None)
    live = alt.Chart(layers.source("live"))
    rule = (
        alt.Chart(layers.source("level"), name="level")
        .mark_rule(strokeWidth=1, color=theme.var("edge"))
        .encode(x=x, y=alt.value(0), y2=alt.value(height))
    )
    bars = (
        live.transform_filter("isValid(datum.x_low) && isValid(datum.x_high)")
        .mark_rule(strokeWidth=3, opacity=0.4)
        .encode(x=alt.X("x_low:Q"), x2="x_high:Q", y=y, stroke=layers.hue(alt.Stroke))
        .properties(name="whiskers")
    )
    names = (
        alt.Chart(layers.source("names"), name="names")
        .mark_text(align="left", baseline="middle", fontSize=11, color=theme.var("t2"))
        .encode(x=alt.value(0), y=y, text="text:N")
    )
    columns = [
        {"field": "label", "title": "What"},
        {"field": "method", "title": "Series"},
        {"field": "value", "title": axis.name, "unit": axis.unit},
        {"field": "low", "title": "Low", "unit": axis.unit},
        {"field": "high", "title": "High", "unit": axis.unit},
        {"field": "predicted", "title": "Basis"},
    ]
    about = {
        "series": "label",
        "travel": ["points"],
        "columns": columns,
        "speech": columns[2:5],
    }
    return layers.finish(alt.layer(rule, bars, layers.points(x, y), names), height, about)
