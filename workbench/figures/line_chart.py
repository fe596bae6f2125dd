"""Curves: measured solid, predicted cased, bands of the hue, names at the ends."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import layers, placement, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, Row, is_predicted, plain, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.text import text_width, two_lines

WIDTH = 280.0
"""About what a plot has in a column of a panel, px; its true width the browser alone knows."""

LABELLED = 8
"""Most series that get a name at their end; beyond it a list beside the chart names them."""


def lines(
    rows: Any,
    x: str | Axis | Mapping[str, Any] = "x",
    y: str | Axis | Mapping[str, Any] = "y",
    *,
    title: str = "How does it change?",
    subtitle: str = "",
    description: str = "",
    names: Mapping[str, str] | None = None,
    slots: Palette | Mapping[str, int] | None = None,
    marks: bool = False,
    dashed: bool = False,
    level: float | None = None,
    extrapolated: float | None = None,
    upright: Mapping[str, float] | None = None,
    height: int = 208,
) -> Chart:
    """Draws one line per method, its name at the end.

    Args:
        rows: data frame or mappings, one per point: `method`, the columns of both axes, and where
            known `key`, `predicted` or `basis`, and `low` and `high`, which make the band, whose
            level the subtitle must state.
        x, y: a column or an `Axis`.
        title: the question.
        names: text of a method's direct label where it is not the method's name.
        slots: palette or slot by method; the shared palette when None.
        marks: whether measured points are drawn on the lines.
        dashed: whether lines carry their method's dash: where they cross without marks.
        level: height of a rule across the plot, what the lines are held against.
        extrapolated: x beyond which the region is hatched and called extrapolated.
        upright: words of dotted rules from top to foot, and the x of each, such as a crossing.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing or an axis cannot hold the rows.
    """
    across, up = Axis.of(x), Axis.of(y)
    level, extrapolated = plain(level), plain(extrapolated)
    found = records(rows, (across.column, up.column, "method"), "lines")
    used, named = slots_of(found, "method", slots), dict(names or {})
    arguments = {
        "x": across.record(), "y": up.record(), "title": title, "subtitle": subtitle,
        "description": description, "names": named, "slots": used, "marks": marks,
        "dashed": dashed, "level": level, "extrapolated": extrapolated,
        "upright": dict(upright or {}), "height": height,
    }  # fmt: skip
    kept = [row for row in found if row[across.column] is not None is not row[up.column]]
    across = across.fitted([row[across.column] for row in kept], tight=True)
    up = up.fitted([level, *(row.get(name) for row in kept for name in (up.column, "low", "high"))])
    live = _live(kept, across, up, used)
    word = _free_height(live, up, height)
    if word > height / 2:  # above the words of upright rules, which stand at the foot
        word -= placement.LINE * len(upright or {})
    end = across.plotted(across.ends[1])
    beyond = [] if extrapolated is None else [{"from": extrapolated, "to": end, "y": word}]
    labels, gutters = _labels(live, named, up, height)
    keyed = any(row.get("key") is not None for row in found)
    spec = _spec(across.form, up.form, marks, dashed, bool(beyond), keyed, height)
    values = layers.ends("x", across) | layers.ends("y", up)
    values |= {"gutter": gutters[0], "narrow_gutter": gutters[1]}
    said = description or _finding(title, live)
    return Chart(
        form="lines",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(spec, said, values),
        rows={
            "live": live,
            "cased": _cased(live),
            "labels": labels,
            "beyond": beyond,
            "level": [] if level is None else [{"y": up.plotted(level)}],
            "upright": _upright(upright or {}, across, up, live, height),
        },
        arguments=arguments,
        source=found,
    )


def _live(found: Sequence[Row], x: Axis, y: Axis, used: Mapping[str, int]) -> list[Row]:
    counts: dict[str, int] = {}
    live: list[Row] = []
    for row in found:
        name = str(row["method"])
        counts[name] = counts.get(name, -1) + 1
        live.append({
            "key": str(row["key"]) if row.get("key") is not None else f"{name} {counts[name]}",
            "method": name, "slot": used[name], "label": "",
            "across": row[x.column], "value": row[y.column],
            "x": x.plotted(row[x.column]), "y": y.plotted(row[y.column]),
            "low": row.get("low"), "high": row.get("high"),
            "y_low": y.plotted(row.get("low")), "y_high": y.plotted(row.get("high")),
            "predicted": is_predicted(row),
        })  # fmt: skip
    return live


def _cased(live: Sequence[Row]) -> list[Row]:
    """Returns the predicted rows, each series led by the measured point it goes on from."""
    rows = [row for row in live if row["predicted"]]
    for name in dict.fromkeys(row["method"] for row in rows):
        first = min(row["x"] for row in rows if row["method"] == name)
        measured = [row for row in live if row["method"] == name and not row["predicted"]]
        if measured and max(row["x"] for row in measured) < first:
            rows.append(max(measured, key=lambda row: row["x"]))
    return rows


def _upright(
    given: Mapping[str, float], x: Axis, y: Axis, live: Sequence[Row], height: int
) -> list[Row]:
    """Returns the rules inside the plot, their words one above the other from the foot up, or from
    the top down where a line runs through the foot."""
    low, high = x.ends
    place = x.pixels(WIDTH)
    rules: list[Row] = []
    taken = {True: 0, False: 0}
    for words, at in given.items():
        if not low <= at <= high:
            continue
        left = place(at) > 0.6 * WIDTH
        from_, to = sorted((place(at), place(at) + text_width(words) * (-1 if left else 1)))
        ways = [height - 9.0 - placement.LINE * taken[True], 9.0 + placement.LINE * taken[False]]
        foot = not _crossed(live, x, y, height, (from_, to), ways[0]) or _crossed(
            live, x, y, height, (from_, to), ways[1]
        )
        rules.append({
            "x": x.plotted(at), "text": words, "y": ways[0] if foot else ways[1],
            "align": "right" if left else "left", "dx": -5 if left else 5,
        })  # fmt: skip
        taken[foot] += 1
    return rules


def _crossed(
    live: Sequence[Row], x: Axis, y: Axis, height: int, span: tuple[float, float], middle: float
) -> bool:
    """Whether a line of words at this height has a drawn line in it."""
    place, down = x.pixels(WIDTH), y.pixels(height, flip=True)
    by_method: dict[str, list[tuple[float, float]]] = {}
    for row in live:
        by_method.setdefault(row["method"], []).append((place(row["x"]), down(row["y"])))
    for points in by_method.values():
        for (x1, y1), (x2, y2) in itertools.pairwise(sorted(points)):
            inside = max(x1, span[0]), min(x2, span[1])
            if inside[0] > inside[1]:
                continue
            slope = (y2 - y1) / (x2 - x1) if x2 > x1 else 0.0
            ends = [y1 + slope * (at - x1) for at in inside]
            if min(ends) < middle + placement.LINE / 2 and max(ends) > middle - placement.LINE / 2:
                return True
    return False


def _free_height(live: Sequence[Row], y: Axis, height: int) -> float:
    """Returns where a word at the right edge is clear of the lines that end there: top or foot."""
    if not live:
        return 12.0
    down = y.pixels(height, flip=True)
    last = sorted(live, key=lambda row: row["x"])[-6:]
    return height - 10.0 if min(down(row["y"]) for row in last) < height / 2 else 12.0


def _labels(
    live: Sequence[Row], names: Mapping[str, str], y: Axis, height: int
) -> tuple[list[Row], tuple[float, float]]:
    last: dict[str, Row] = {}
    for row in live:
        if row["method"] not in last or row["x"] >= last[row["method"]]["x"]:
            last[row["method"]] = row
    if not last or len(last) > LABELLED:
        return [], (8.0, 8.0)
    down = y.pixels(height, flip=True)
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
    ends = {row["method"]: row["value"] for row in sorted(live, key=lambda row: row["x"])}
    return f"{title} At the end: " + ", ".join(f"{k} {number(v)}" for k, v in ends.items()) + "."


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(
    x_axis: Axis, y_axis: Axis, marks: bool, dashed: bool, extrapolated: bool, keyed: bool,
    height: int,
) -> dict[str, Any]:  # fmt: skip
    edge = f"width - (width < {NARROW} ? narrow_gutter : gutter)"
    x = layers.x_channel(x_axis, scale={"range": [0, {"expr": edge}]})
    y = layers.y_channel(y_axis)
    live = alt.Chart(layers.source("live"))
    stroke = layers.hue(alt.Stroke)
    parts: list[alt.Chart] = []
    if extrapolated:
        parts += layers.beyond()
    parts += [
        alt.Chart(layers.source("level"), name="level")
        .mark_rule(strokeWidth=1, color=theme.var("edge"))
        .encode(y=alt.Y("y:Q"), x=alt.value(0), x2=alt.value(layers.expr(edge))),
        live.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_area(opacity=0.13)
        .encode(
            x=x, y=alt.Y("y_low:Q"), y2="y_high:Q", detail="method:N", fill=layers.hue(alt.Fill)
        )
        .properties(name="bands"),
    ]  # fmt: skip
    upright = alt.Chart(layers.source("upright")).encode(x=x)
    words: dict[str, Any] = {
        "align": layers.expr("datum.align"), "dx": layers.expr("datum.dx"),
        "y": layers.expr("datum.y"), "baseline": "middle", "fontSize": 11,
    }  # fmt: skip
    parts += [
        upright.mark_rule(strokeWidth=1.2, strokeDash=[1.5, 3], color=theme.var("t2"))
        .encode(y=alt.value(0), y2=alt.value(height))
        .properties(name="upright"),
        upright.mark_text(**words, stroke=theme.var("paper"), strokeWidth=3, strokeJoin="round")
        .encode(text="text:N")
        .properties(name="upright_halo"),
        upright.mark_text(**words, color=theme.var("t1"))
        .encode(text="text:N")
        .properties(name="upright_words"),
    ]
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
        {"field": "across", "title": x_axis.name, "unit": x_axis.unit},
        {"field": "value", "title": y_axis.name, "unit": y_axis.unit},
        {"field": "low", "title": "Low", "unit": y_axis.unit},
        {"field": "high", "title": "High", "unit": y_axis.unit},
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
    return layers.finish(alt.layer(*parts), height, about)
