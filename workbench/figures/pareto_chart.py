"""Quality against cost: one line of points per method, the present setting ringed."""

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from workbench.figures import axes, layers, placement
from workbench.figures.axes import Domain
from workbench.figures.chart import Chart, ChartError, Row, is_predicted, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.placement import Box, Label
from workbench.figures.text import text_width


def pareto(
    rows: Any,
    x: str,
    y: str,
    *,
    title: str = "What does each saving cost?",
    subtitle: str = "Upper left is better · hollow: predicted, not yet run",
    description: str = "",
    x_title: str = "",
    y_title: str = "",
    x_unit: str = "",
    y_unit: str = "",
    x_domain: Domain | None = None,
    y_domain: Domain | None = None,
    x_log: bool = False,
    y_log: bool = False,
    x_style: str = "",
    y_style: str = "",
    method: str = "method",
    label: str = "label",
    key: str = "trial_id",
    predicted: str = "predicted",
    order: str = "",
    current: str = "",
    pins: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    slots: Palette | Mapping[str, int] | None = None,
    connect: bool = True,
    height: int = 208,
) -> Chart:
    """Draws trials as points, quality against cost.

    A predicted and a measured row with the same key are one trial: the measured point fills
    where it lands, and a hairline leads to it from the prediction.

    Args:
        rows: data frame or mappings, one per trial.
        x, y: columns of cost and quality; `<column>.low` and `.high` become whiskers.
        title: the question; 3 to 9 words and a question mark.
        x_title, y_title: axis words, unit in brackets; the column's name when empty.
        x_unit, y_unit: sign behind each number in speech, table and ticks ("%").
        x_domain, y_domain: fixed ends; round ones around the rows when None.
        x_log, y_log: logarithmic axes.
        x_style, y_style: tick words, "power" or "count".
        method, label, key, predicted: columns. `label` is the point's own short text
            ("25"), left out where there is no room.
        order: column by which a method's points are joined; x when empty.
        current: key of the present setting.
        pins: letter of each pinned key.
        names: text of a method's direct label where it is not the method's name.
        slots: palette or slot by method; the shared palette when None.
        connect: whether a method's points are joined.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing or no width or height is left.
    """
    arguments = {
        name: value
        for name, value in locals().items()
        if name not in ("rows", "slots", "pins", "names")
    }
    found = records(rows, (x, y, method), "pareto")
    used = slots_of(found, method, slots)
    arguments |= {"slots": used, "pins": dict(pins or {}), "names": dict(names or {})}
    live = _live(found, arguments, used)
    x_ends: Domain = (
        (x_domain[0], x_domain[1])
        if x_domain
        else axes.domain(_values(live, "x", "x_low", "x_high"), x_log)
    )
    y_ends: Domain = (
        (y_domain[0], y_domain[1])
        if y_domain
        else axes.domain(_values(live, "y", "y_low", "y_high"), y_log)
    )
    if x_ends[0] >= x_ends[1] or y_ends[0] >= y_ends[1]:
        raise ChartError(f"pareto: a domain must go from low to high: {x_ends}, {y_ends}")
    leaders = _leaders(live)
    labels = _labels(live, arguments, x_ends, y_ends)
    said = description or _finding(title, live, x_title or x, y_title or y)
    spec = _spec(
        x_title or x, y_title or y, x_unit, y_unit, x_ends, y_ends, x_log, y_log, x_style, y_style,
        connect, height,
    )  # fmt: skip
    return Chart(
        form="pareto",
        title=title,
        subtitle=subtitle,
        description=said,
        spec={**spec, "description": said},
        rows={"live": live, "leaders": leaders, "labels": labels},
        arguments=arguments,
        source=found,
    )


def _live(found: Sequence[Row], to: Mapping[str, Any], used: Mapping[str, int]) -> list[Row]:
    x, y, method, key = to["x"], to["y"], to["method"], to["key"]
    measured = {row.get(key) for row in found if not is_predicted(row, to["predicted"])}
    live: list[Row] = []
    for place, row in enumerate(found):
        if row[x] is None or row[y] is None:
            continue
        name = str(row[method])
        trial = str(row[key]) if row.get(key) is not None else f"{name} {place}"
        hollow = is_predicted(row, to["predicted"])
        twin = hollow and row.get(key) is not None and row[key] in measured
        live.append({
            "key": f"{trial} predicted" if twin else trial,
            "trial": trial, "load": trial,
            "method": name,
            "slot": used[name],
            "label": str(row[to["label"]]) if row.get(to["label"]) is not None else "",
            "x": row[x], "y": row[y],
            "x_low": row.get(f"{x}.low"), "x_high": row.get(f"{x}.high"),
            "y_low": row.get(f"{y}.low"), "y_high": row.get(f"{y}.high"),
            "order": row[to["order"]] if to["order"] else row[x],
            "predicted": hollow,
            "twin": twin,
            "current": trial == to["current"] and not twin,
            "pin": to["pins"].get(trial, "") if not twin else "",
        })  # fmt: skip
    return live


def _values(live: Sequence[Row], *names: str) -> list[float | None]:
    return [row[name] for row in live for name in names]


def _leaders(live: Sequence[Row]) -> list[Row]:
    landed = {row["trial"]: row for row in live if not row["predicted"]}
    return [
        {"slot": row["slot"], "x": row["x"], "y": row["y"],
         "x2": landed[row["trial"]]["x"], "y2": landed[row["trial"]]["y"]}
        for row in live if row["twin"]
    ]  # fmt: skip


def _labels(
    live: Sequence[Row], to: Mapping[str, Any], x_ends: Domain, y_ends: Domain
) -> list[Row]:
    height = to["height"]
    rows: list[Row] = []
    for low, high, width in placement.WIDTHS:
        across = layers.position(x_ends, to["x_log"], width)
        down = layers.position(y_ends, to["y_log"], height, flip=True)
        at = {row["key"]: (across(row["x"]), down(row["y"]), row) for row in live}
        marks = [
            Box(px - reach, py - reach, px + reach, py + reach)
            for px, py, row in at.values()
            for reach in [11 if row["current"] else 5]
        ]
        marks.append(Box(-60, -40, text_width(to["y_title"] or to["y"]) - 24, -8))
        segments = [
            (*at[one["key"]][:2], *at[two["key"]][:2])
            for joined in _joined(live)
            for one, two in pairwise(joined)
            if to["connect"]
        ]
        wanted = [*_pin_labels(at), *_series_labels(live, at, to), *_point_labels(live, at)]
        rows += [
            {**row, "lo": low, "hi": high}
            for row in placement.place(wanted, (width, height), marks, segments)
        ]
    return rows


def _joined(live: Sequence[Row]) -> list[list[Row]]:
    methods: dict[str, list[Row]] = {}
    for row in live:
        if not row["twin"]:
            methods.setdefault(row["method"], []).append(row)
    return [sorted(points, key=lambda row: row["order"]) for points in methods.values()]


def _pin_labels(at: Mapping[str, tuple[float, float, Row]]) -> list[Label]:
    ways = ("above", "right", "left", "above left", "above right", "below")
    return [
        Label(spot[2]["pin"], "pin", [spot], ways, gap=12 if spot[2]["current"] else 9,
              extra={"slot": spot[2]["slot"]})
        for spot in at.values() if spot[2]["pin"]
    ]  # fmt: skip


def _series_labels(
    live: Sequence[Row], at: Mapping[str, Any], to: Mapping[str, Any]
) -> list[Label]:
    ways = (
        "above", "right", "left", "below right", "above left", "below", "above right", "below left",
    )  # fmt: skip
    joined = _joined(live)
    if len(joined) > 6:
        return []  # the method list of the panel is the legend then
    found = []
    for points in joined:
        ends = [points[0], points[-1], *points[1:-1]][:6] if len(points) > 1 else points
        found.append(
            Label(
                to["names"].get(points[0]["method"], points[0]["method"]),
                "series",
                [at[row["key"]] for row in ends],
                ways,
                gap=13 if any(row["current"] for row in points) else 9,
                extra={"slot": points[0]["slot"]},
            )
        )
    return sorted(found, key=lambda label: len(label.anchors))


def _point_labels(live: Sequence[Row], at: Mapping[str, Any]) -> list[Label]:
    return [
        Label(row["label"], "point", [at[row["key"]]],
              ("below right", "right", "below", "left", "above left", "above", "below left"),
              required=False, gap=12 if row["current"] else 8, extra={"slot": row["slot"]})
        for row in live if row["label"] and not row["twin"]
    ]  # fmt: skip


def _finding(title: str, live: Sequence[Row], x_title: str, y_title: str) -> str:
    if not live:
        return f"{title} No results yet."
    best = max(live, key=lambda row: row["y"])
    least = min(live, key=lambda row: row["x"])
    return (
        f"{title} {y_title} against {x_title}, {len(live)} points. "
        f"Highest: {best['method']}, {number(best['y'])}. "
        f"Farthest left: {least['method']}, {number(least['x'])}."
    )


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(
    x_title: str, y_title: str, x_unit: str, y_unit: str, x_ends: Domain, y_ends: Domain,
    x_log: bool, y_log: bool, x_style: str, y_style: str, connect: bool, height: int,
) -> dict[str, Any]:  # fmt: skip
    x_words = axes.axis(x_title, x_ends, x_log, x_unit, x_style)
    y_words = axes.axis(y_title, y_ends, y_log, y_unit, y_style)
    x = alt.X("x:Q", scale=layers.scale(x_ends, x_log), axis=layers.x_axis(x_words))
    y = alt.Y("y:Q", scale=layers.scale(y_ends, y_log), axis=layers.y_axis(y_words))
    live = alt.Chart(layers.source("live"))
    parts: list[alt.Chart] = [
        live.transform_filter(f"isValid(datum.{one}_low) && isValid(datum.{one}_high)")
        .mark_rule(strokeWidth=1.2, opacity=0.7)
        .encode(
            **(
                {"x": x, "y": alt.Y("y_low:Q"), "y2": "y_high:Q"}
                if one == "y"
                else {"y": y, "x": alt.X("x_low:Q"), "x2": "x_high:Q"}
            ),
            stroke=layers.hue(alt.Stroke),
        )
        .properties(name=f"spread_{one}")
        for one in ("x", "y")
    ]
    if connect:
        parts.append(
            live.transform_filter("!datum.twin")
            .mark_line(strokeWidth=1.4, opacity=0.85)
            .encode(
                x=x, y=y, detail="method:N", order="order:Q",
                stroke=layers.hue(alt.Stroke), strokeDash=layers.dash(),
            )
            .properties(name="joined")
        )  # fmt: skip
    far = (
        "pow(scale('x', datum.x) - scale('x', datum.x2), 2)"
        " + pow(scale('y', datum.y) - scale('y', datum.y2), 2) > 36 ? 1 : 0"
    )
    parts.append(
        alt.Chart(layers.source("leaders"), name="leaders")
        .mark_rule(strokeWidth=1, strokeDash=[1, 0], opacity=layers.expr(far))
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q", stroke=layers.hue(alt.Stroke))
    )
    parts += [layers.ring(x, y), layers.points(x, y), *layers.labels(x, y)]
    columns = [
        {"field": "method", "title": "Method"},
        {"field": "label", "title": "Setting"},
        {"field": "x", "title": x_title, "unit": x_unit},
        {"field": "y", "title": y_title, "unit": y_unit},
        {"field": "predicted", "title": "Basis"},
    ]
    about = {"series": "method", "travel": ["points"], "columns": columns, "speech": columns[2:4]}
    return layers.finish(alt.layer(*parts), "", height, about)
