"""The waterline: kernels as bars, as wide as their work, as high as their intensity."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.figures import layers, placement, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, ChartError, Row, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.placement import Label

HEIGHT = 250
INTENSITY = Axis("intensity", "Operational intensity (FLOP per byte)", scale="log")
TOLD = 26.0
"""Least width of a bar that its slow-down is written on, px."""
SLIVER = 0.003
"""Share of the width below which a bar is not seen."""
DEEPEST = 300.0
"""Times under the level at which the axis ends: deeper bars stand at the foot."""
NAMED = 1.5
"""Per cent of the width that a kind needs to be named."""


def waterline(
    rows: Any,
    y: str | Axis | Mapping[str, Any] = INTENSITY,
    *,
    width: str = "width",
    level: float,
    level_name: str = "",
    across: str = "Share of the operations",
    title: str = "Which kernels are under water?",
    subtitle: str = "",
    description: str = "",
    slots: Palette | Mapping[str, int] | None = None,
    height: int = HEIGHT,
) -> Chart:
    """Draws a bar for each kernel in the order they run, and a level that some stay under.

    A roofline for a sequence of kernels: the depth of a bar's top under the level is, on the
    logarithmic axis, how many times slower than its arithmetic it runs.

    Args:
        rows: data frame or mappings: `method` (the kind of kernel), y's column, the column of the
            widths, and where known `name`, `key`, and `told`. A row of no height stands at the
            foot.
        y: intensity, a column or an `Axis` with a logarithmic scale.
        width: column of the bars' widths, in any unit; they are drawn as shares of their sum.
        level: height of the waterline.
        level_name: its words.
        across: name of the horizontal axis.
        title: the question.
        slots: palette or slot by method; the shared palette when None.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing, the axis is not logarithmic, the level is not above 0,
            or the widths are negative or all 0.
    """
    up = Axis.of(y)
    if up.scale != "log":
        raise ChartError(f"waterline: {up.column} needs a logarithmic axis, not {up.scale}")
    if not level > 0:
        raise ChartError(f"waterline: level is {level}; it must be above 0")
    found = records(rows, (up.column, width, "method"), "waterline")
    used = slots_of(found, "method", slots)
    kept = [row for row in found if row[width] is not None]
    total = sum(row[width] for row in kept)
    if any(row[width] < 0 for row in kept) or (kept and not total > 0):
        raise ChartError(f"waterline: widths in {width!r} must be 0 or more, and one above 0")
    # A sliver of a bar does not stretch the axis; it stands at the foot.
    wide = [row for row in kept if row[width] >= SLIVER * total]
    heights = [max(row[up.column], level / DEEPEST) for row in wide if row[up.column]]
    up = up.fitted([*heights, level])
    axis = replace(_ACROSS, title=across)
    live = _live(kept, up, width, total, used, level)
    said = description or _finding(title, live, total)
    return Chart(
        form="waterline",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(
            _spec(axis.form, up.form, height), said,
            layers.ends("x", axis) | layers.ends("y", up),
        ),
        rows={
            "live": live,
            "water": [row for row in live if _wet(row)],
            "level": [{"y": level, "x": 100.0, "text": level_name or number(level)}],
            "labels": _labels(live, axis, up, height, level),
        },
        arguments={
            "y": up.record(), "width": width, "level": level, "level_name": level_name,
            "across": across, "title": title, "subtitle": subtitle, "description": description,
            "slots": used, "height": height,
        },
        source=found,
    )  # fmt: skip


_ACROSS = Axis("share", unit="%", domain=(0, 100))


def _live(
    kept: Sequence[Row], y: Axis, width: str, total: float, used: Mapping[str, int], level: float
) -> list[Row]:
    live: list[Row] = []
    floor, done = y.ends[0], 0.0
    for place, row in enumerate(kept):
        method, name = str(row["method"]), str(row.get("name") or f"kernel {place + 1}")
        top = max(row[y.column] or 0.0, floor)
        slower = max(1.0, level / row[y.column]) if row[y.column] else None
        start, done = done, done + 100 * row[width] / total
        words = f"{name} · {number(row[y.column] or 0.0)} FLOP/B"
        if slower is None or slower > 1:
            words += f" · {number(slower)} × slower" if slower else " · waits for memory alone"
        live.append({
            "key": str(row["key"]) if row.get("key") is not None else name,
            "method": method, "slot": used[method], "label": name,
            "x": start, "x2": done, "share": 100 * row[width] / total,
            "y": top, "floor": floor, "level": level, "intensity": row[y.column] or 0.0,
            "slower": slower,
            "told": str(row["told"]) if row.get("told") is not None else words,
        })  # fmt: skip
    return live


def _labels(live: Sequence[Row], x: Axis, y: Axis, height: int, level: float) -> list[Row]:
    """A kind's name over its widest bar, and how much slower over the wide ones under water."""
    found: list[Row] = []
    for low, high, wide in placement.WIDTHS:
        across, down = x.pixels(wide), y.pixels(height, flip=True)
        middle = {row["key"]: {**row, "x": (row["x"] + row["x2"]) / 2} for row in live}
        widest: dict[str, Row] = {}
        whole: dict[str, float] = {}
        for row in live:
            whole[row["method"]] = whole.get(row["method"], 0.0) + row["share"]
            if row["share"] > widest.get(row["method"], {"share": -1.0})["share"]:
                widest[row["method"]] = row
        rule = (0.0, down(level), wide, down(level))
        wanted = []
        for row in sorted(widest.values(), key=lambda row: -row["share"]):
            if whole[row["method"]] < NAMED:
                continue
            spot = middle[row["key"]]
            place = (across(spot["x"]), down(spot["y"]), spot)
            wanted.append(
                Label(row["method"], "series", [place], ("above", "above right", "above left",
                      "below"), gap=6, extra={"slot": row["slot"]})
            )  # fmt: skip
        for row in live:
            room = across(row["x2"]) - across(row["x"])
            if room < TOLD or not 1.05 < (row["slower"] or 0) <= DEEPEST:
                continue
            spot = {**middle[row["key"]], "y": level}
            place = (across(spot["x"]), down(level), spot)
            wanted.append(
                Label(f"{number(row['slower'], 2)} ×", "point", [place], ("below",),
                      required=False, gap=5, extra={"slot": row["slot"]})
            )  # fmt: skip
        placed = placement.place(wanted, (wide, height), (), [rule])
        found += [{**row, "lo": low, "hi": high} for row in placed]
    return found


def _wet(row: Row) -> bool:
    """Whether a kernel waits for memory; one without arithmetic does nothing else."""
    return row["slower"] is None or row["slower"] > 1


def _finding(title: str, live: Sequence[Row], total: float) -> str:
    if not live:
        return f"{title} No kernels yet."
    under = [row for row in live if _wet(row)]
    share = sum(row["share"] for row in under)
    if not under:
        return f"{title} None of {len(live)}."
    deepest = max(under, key=lambda row: row["slower"] or 0)
    return (
        f"{title} {len(under)} of {len(live)}, {number(share)} % of the width. Deepest: "
        f"{deepest['label']}, {number(deepest['slower'] or math.nan)} times slower."
    )


@functools.lru_cache(maxsize=16)
@unchecked
def _spec(x_axis: Axis, y_axis: Axis, height: int) -> dict[str, Any]:
    x = layers.x_channel(x_axis)
    y = layers.y_channel(y_axis)
    live = alt.Chart(layers.source("live"))
    near = alt.selection_point(
        name="near", fields=["key"], on="pointerover", clear="pointerout", empty=False
    )
    bars = (
        live.mark_rect(strokeWidth=0.6, stroke=theme.var("paper"), opacity=1)
        .encode(x=x, x2="x2:Q", y=y, y2="floor:Q", fill=layers.hue(alt.Fill))
        .properties(name="bars")
        .add_params(near, alt.selection_point(name=layers.PICK, fields=["key"]))
    )
    water = (
        alt.Chart(layers.source("water"), name="water")
        .mark_rect(fill=theme.var("area2"), opacity=0.55)
        .encode(x=x, x2="x2:Q", y=y, y2="level:Q")
    )
    level = alt.Chart(layers.source("level"))
    rule = level.mark_rule(strokeWidth=1.4, color=theme.var("t1"), strokeDash=[1, 0]).encode(
        y=y, x=alt.value(0), x2=alt.value(layers.expr("width"))
    )
    looks: dict[str, Any] = {
        "align": "left", "baseline": "bottom", "dx": 4, "dy": -4, "fontSize": 11,
        "fontWeight": 500, "x": 0,
    }  # fmt: skip
    named = level.encode(y=y, text="text:N")
    parts = [
        water,
        bars,
        rule.properties(name="rule"),
        named.mark_text(**looks, stroke=theme.var("paper"), strokeWidth=4, strokeJoin="round")
        .properties(name="level_halo"),
        named.mark_text(**looks, color=theme.var("t1")).properties(name="level_word"),
        *layers.labels(x, y),
        *layers.readout(near, height),
    ]  # fmt: skip
    columns = [
        {"field": "label", "title": "Kernel"},
        {"field": "method", "title": "Kind"},
        {"field": "share", "title": "Share", "unit": "%"},
        {"field": "intensity", "title": y_axis.name},
        {"field": "slower", "title": "Times slower"},
    ]
    about = {
        "series": "method", "travel": ["bars"], "columns": columns, "speech": columns[2:5],
        "pick": False,
    }  # fmt: skip
    return layers.finish(alt.layer(*parts), height, about)
