"""Curves: measured solid, predicted cased, bands of the hue, names at the ends."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import axes, layers, placement, theme
from workbench.figures.axes import Domain
from workbench.figures.chart import Chart, ChartError, Row, is_predicted, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.text import text_width, two_lines

LABELLED = 8
"""Most series that get a name at their end; beyond it a list beside the chart names them."""


def lines(
    rows: Any,
    x: str = "x",
    y: str = "y",
    *,
    title: str = "How does it change?",
    subtitle: str = "",
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
    predicted: str = "predicted",
    low: str = "low",
    high: str = "high",
    key: str = "key",
    names: Mapping[str, str] | None = None,
    slots: Palette | Mapping[str, int] | None = None,
    marks: bool = False,
    dashed: bool = False,
    extrapolated: float | None = None,
    height: int = 208,
) -> Chart:
    """Draws one line per method, its name at the end.

    Args:
        rows: data frame or mappings, one per point.
        x, y: columns.
        title: the question.
        x_title, y_title: axis words, unit in brackets; the column's name when empty.
        x_unit, y_unit: sign behind each number.
        x_domain, y_domain: fixed ends; round ones around the rows when None.
        x_log, y_log: logarithmic axes.
        x_style, y_style: tick words, "power" or "count".
        method, predicted, low, high, key: columns; `low` and `high` make the band, whose
            level the subtitle must state.
        names: text of a method's direct label where it is not the method's name.
        slots: palette or slot by method; the shared palette when None.
        marks: whether measured points are drawn on the lines.
        dashed: whether lines carry their method's dash: where they cross without marks.
        extrapolated: x beyond which the region is shaded and called extrapolated.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing or a domain is empty.
    """
    arguments = {
        name: value for name, value in locals().items() if name not in ("rows", "slots", "names")
    }
    found = records(rows, (x, y, method), "lines")
    used = slots_of(found, method, slots)
    arguments |= {"slots": used, "names": dict(names or {})}
    counts: dict[str, int] = {}
    live: list[Row] = []
    for row in found:
        if row[x] is None or row[y] is None:
            continue
        name = str(row[method])
        counts[name] = counts.get(name, -1) + 1
        live.append({
            "key": str(row[key]) if row.get(key) is not None else f"{name} {counts[name]}",
            "method": name, "slot": used[name], "label": "", "x": row[x], "y": row[y],
            "low": row.get(low), "high": row.get(high),
            "predicted": is_predicted(row, predicted),
        })  # fmt: skip
    span = [row[column] for row in live for column in ("y", "low", "high")]
    x_ends: Domain = (x_domain[0], x_domain[1]) if x_domain else _tight(live, x_log)
    y_ends: Domain = (y_domain[0], y_domain[1]) if y_domain else axes.domain(span, y_log)
    if x_ends[0] >= x_ends[1] or y_ends[0] >= y_ends[1]:
        raise ChartError(f"lines: a domain must go from low to high: {x_ends}, {y_ends}")
    word = _free_height(live, y_ends, y_log, height)
    beyond = [] if extrapolated is None else [{"from": extrapolated, "to": x_ends[1], "y": word}]
    labels, gutters = _labels(live, dict(names or {}), y_ends, y_log, height)
    keyed = any(row.get(key) is not None for row in found)
    spec = _spec(
        x_title or x, y_title or y, x_unit, y_unit, x_ends, y_ends, x_log, y_log, x_style, y_style,
        marks, dashed, bool(beyond), keyed, gutters, height,
    )  # fmt: skip
    said = description or _finding(title, live)
    return Chart(
        form="lines",
        title=title,
        subtitle=subtitle,
        description=said,
        spec={**spec, "description": said},
        rows={"live": live, "cased": _cased(live), "labels": labels, "beyond": beyond},
        arguments=arguments,
        source=found,
    )


def _tight(live: Sequence[Row], log: bool) -> Domain:
    known = [float(row["x"]) for row in live]
    if not known or min(known) == max(known):
        return axes.domain(known, log)
    if log and min(known) <= 0:
        raise ChartError(f"lines: a logarithmic axis needs positive values: {min(known)}")
    return min(known), max(known)  # a curve runs from edge to edge


def _cased(live: Sequence[Row]) -> list[Row]:
    """Returns the predicted rows, each series led by the measured point it goes on from."""
    rows = [row for row in live if row["predicted"]]
    for name in dict.fromkeys(row["method"] for row in rows):
        first = min(row["x"] for row in rows if row["method"] == name)
        measured = [row for row in live if row["method"] == name and not row["predicted"]]
        if measured and max(row["x"] for row in measured) < first:
            rows.append(max(measured, key=lambda row: row["x"]))
    return rows


def _free_height(live: Sequence[Row], ends: Domain, log: bool, height: int) -> float:
    """Returns where a word at the right edge is clear of the lines that end there: top or foot."""
    if not live:
        return 12.0
    down = layers.position(ends, log, height, flip=True)
    last = sorted(live, key=lambda row: row["x"])[-6:]
    return height - 10.0 if min(down(row["y"]) for row in last) < height / 2 else 12.0


def _labels(
    live: Sequence[Row], names: Mapping[str, str], ends: Domain, log: bool, height: int
) -> tuple[list[Row], tuple[float, float]]:
    last: dict[str, Row] = {}
    for row in live:
        if row["method"] not in last or row["x"] >= last[row["method"]]["x"]:
            last[row["method"]] = row
    if not last or len(last) > LABELLED:
        return [], (8.0, 8.0)
    down = layers.position(ends, log, height, flip=True)
    places = [min(max(down(row["y"]), 0), height) for row in last.values()]
    texts = [names.get(name, name) for name in last]
    rows: list[Row] = []
    gutters = []
    for narrow in (False, True):
        blocks = [two_lines(text) if narrow else [text] for text in texts]
        tall = max(len(block) for block in blocks)
        moved = placement.spread(places, placement.LINE * tall, height - 7.0 * tall)
        for row, block, place, spot in zip(last.values(), blocks, places, moved, strict=True):
            for number_line, line in enumerate(block):
                shift = spot - place + placement.LINE * (number_line - (len(block) - 1) / 2)
                rows.append({
                    "text": line, "kind": "series", "slot": row["slot"], "x": row["x"],
                    "y": row["y"], "align": "left", "dx": 8, "dy": round(shift, 1),
                    "lo": 0 if narrow else NARROW, "hi": NARROW if narrow else 1e9,
                })  # fmt: skip
        gutters.append(round(16 + max(text_width(line) for block in blocks for line in block)))
    return rows, (gutters[0], gutters[1])


NARROW = 330
"""Plot width under which names break into two lines, px."""


def _finding(title: str, live: Sequence[Row]) -> str:
    if not live:
        return f"{title} No values yet."
    ends = {row["method"]: row["y"] for row in sorted(live, key=lambda row: row["x"])}
    return f"{title} At the end: " + ", ".join(f"{k} {number(v)}" for k, v in ends.items()) + "."


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(
    x_title: str, y_title: str, x_unit: str, y_unit: str, x_ends: Domain, y_ends: Domain,
    x_log: bool, y_log: bool, x_style: str, y_style: str, marks: bool, dashed: bool,
    extrapolated: bool, keyed: bool, gutters: tuple[float, float], height: int,
) -> dict[str, Any]:  # fmt: skip
    x_words = axes.axis(x_title, x_ends, x_log, x_unit, x_style)
    y_words = axes.axis(y_title, y_ends, y_log, y_unit, y_style)
    edge = f"width - (width < {NARROW} ? {gutters[1]} : {gutters[0]})"
    x = alt.X(
        "x:Q",
        scale=layers.scale(x_ends, x_log, range=[0, {"expr": edge}]),
        axis=layers.x_axis(x_words),
    )
    y = alt.Y("y:Q", scale=layers.scale(y_ends, y_log), axis=layers.y_axis(y_words))
    live = alt.Chart(layers.source("live"))
    stroke = layers.hue(alt.Stroke)
    parts: list[alt.Chart] = []
    if extrapolated:
        beyond = alt.Chart(layers.source("beyond"))
        parts += [
            beyond.mark_rect(fill=theme.var("fill"), y=0, y2=height)
            .encode(x=alt.X("from:Q"), x2="to:Q")
            .properties(name="beyond"),
            beyond.mark_text(align="right", baseline="middle", dx=-6, y=layers.expr("datum.y"))
            .encode(x=alt.X("to:Q"), text=alt.value("extrapolated"))
            .properties(name="beyond_word"),
        ]
    parts.append(
        live.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_area(opacity=0.13)
        .encode(
            x=x, y=alt.Y("low:Q"), y2="high:Q", detail="method:N", fill=layers.hue(alt.Fill)
        )
        .properties(name="bands")
    )  # fmt: skip
    look: dict[str, Any] = {"strokeCap": "butt", "strokeJoin": "round"}
    hollow = alt.Chart(layers.source("cased")).encode(x=x, y=y, detail="method:N")
    filled = live.transform_filter("!datum.predicted").encode(x=x, y=y, detail="method:N")
    more = {"strokeDash": layers.dash()} if dashed else {}
    parts += [
        hollow.mark_line(strokeWidth=3.4, **look).encode(stroke=stroke).properties(name="cased"),
        hollow.mark_line(strokeWidth=1.5, stroke=theme.var("paper"), **look).properties(
            name="core"
        ),
        filled.mark_line(strokeWidth=2, **look)
        .encode(stroke=stroke, **more)
        .properties(name="solid"),
    ]
    if marks:
        parts += [layers.points(x, y)]
    parts += layers.labels(x, y)
    columns = [
        {"field": "method", "title": "Series"},
        {"field": "x", "title": x_title, "unit": x_unit},
        {"field": "y", "title": y_title, "unit": y_unit},
        {"field": "low", "title": "Low", "unit": y_unit},
        {"field": "high", "title": "High", "unit": y_unit},
        {"field": "predicted", "title": "Basis"},
    ]
    travel = ["points"] if marks else ["cased", "solid"]
    about = {
        "series": "method",
        "travel": travel,
        "pick": keyed,
        "columns": columns,
        "speech": columns[1:3],
    }
    return layers.finish(alt.layer(*parts), "", height, about)
