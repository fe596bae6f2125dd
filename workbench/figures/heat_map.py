"""Steps across, blocks down, one stepped ramp; the plan drawn above its steps."""

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from workbench.figures import layers, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, ChartError, Row, records
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number, setting
from workbench.figures.palette import slot as shared_slot
from workbench.figures.text import text_width

ROW = 17
"""Height of a block's row, px."""

PLAN = "plan"

STEP = Axis("step", "Sampling step")
BLOCK = Axis("block", "Block")
CHANGE = Axis("value", "Change")

THIN = 6
"""Height of the strip that stands for a reused cell, px."""

BAR = 30
"""Length of the longest bar beside the rows, px."""

MARGIN = BAR + 46
"""Room for bars and their numbers, px."""


def heat(
    rows: Any,
    x: str | Axis | Mapping[str, Any] = STEP,
    y: str | Axis | Mapping[str, Any] = BLOCK,
    value: str | Axis | Mapping[str, Any] = CHANGE,
    *,
    title: str = "Where do features move, and what does the plan skip?",
    subtitle: str = "Relative change since the step before · thin: reused from the key step",
    description: str = "",
    steps: int = 0,
    blocks: Sequence[str] = (),
    plan: Sequence[int] = (),
    thresholds: Sequence[float] = (),
    beside: Mapping[str, float] | None = None,
    beside_title: str = "",
    beside_unit: str = "",
    method: str = "",
    slot: int | None = None,
) -> Chart:
    """Draws a value for each step and block as a stepped shade.

    Args:
        rows: data frame or mappings, one per cell, with the columns of x, y and value; `reused`
            tells that a cell is not computed, which makes it thin.
        x, y, value: step from 0, block's name, value: a column or an `Axis`, of which column and
            title count.
        title: the question.
        steps: number of steps; one more than the largest when 0.
        blocks: names from top to bottom; order of appearance when empty.
        plan: key steps, drawn above: filled where a step runs in full, hollow until the next.
        thresholds: 7 rising values between the 8 shades; from the rows when empty.
        beside: a counted number of each block, drawn as a bar right of its row.
        beside_title, beside_unit: what those bars show, and the sign behind each number.
        method: name of the plan's method, which gives its colour.
        slot: the plan's colour where the name does not decide.

    Raises:
        ChartError: if a column is missing or thresholds do not rise.
    """
    step, block, shade = Axis.of(x), Axis.of(y), Axis.of(value)
    found = records(rows, (step.column, block.column, shade.column), "heat")
    names = list(blocks) or list(dict.fromkeys(str(row[block.column]) for row in found))
    count = steps or 1 + max((int(row[step.column]) for row in found), default=0)
    levels = tuple(thresholds) or _thresholds([row[shade.column] for row in found])
    if len(levels) != 7 or any(a >= b for a, b in pairwise(levels)):
        raise ChartError(f"heat: thresholds must be 7 rising values: {list(levels)}")
    number_slot = slot if slot is not None else shared_slot(method) if method else 1
    keys = sorted({int(key) for key in plan if 0 <= int(key) < count})
    arguments = {
        "x": step.record(), "y": block.record(), "value": shade.record(), "title": title,
        "subtitle": subtitle, "description": description, "steps": count, "blocks": names,
        "plan": keys, "thresholds": list(levels), "beside": dict(beside or {}),
        "beside_title": beside_title, "beside_unit": beside_unit, "method": method,
        "slot": number_slot,
    }  # fmt: skip
    live = [
        {
            "key": f"{int(row[step.column])} {row[block.column]}",
            "step": int(row[step.column]), "block": str(row[block.column]),
            "left": row[step.column] - 0.5, "right": row[step.column] + 0.5,
            "value": row[shade.column], "label": "", "reused": bool(row.get("reused")),
        }
        for row in found if row[shade.column] is not None and str(row[block.column]) in names
    ]  # fmt: skip
    spans = _plan_rows(keys, count, number_slot)
    shown = ([PLAN] if keys else []) + names
    said = description or _finding(title, live)
    bars = _beside_rows(beside or {}, names, beside_title, beside_unit)
    heads = (step.name, block.name, shade.name)
    spec = _spec(heads, tuple(shown), bool(keys), bool(bars))
    return Chart(
        form="heat",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(spec, said, _values(count, levels)),
        rows={"live": live, "plan": spans, "legend": _legend(levels, live), "beside": bars},
        arguments=arguments,
        source=found,
    )


def _beside_rows(
    given: Mapping[str, float], names: Sequence[str], title: str, unit: str
) -> list[Row]:
    known = [(name, float(given[name])) for name in names if given.get(name) is not None]
    most = max((value for _, value in known), default=0.0)
    rows: list[Row] = [
        {
            "block": name,
            "length": BAR * value / most if most else 0.0,
            "text": f"{number(value, 2)} {unit}".strip(),
        }
        for name, value in known
    ]
    return [*rows, {"title": title}] if rows else []


def _plan_rows(keys: Sequence[int], count: int, slot: int) -> list[Row]:
    spans: list[Row] = []
    for key, following in zip(keys, [*keys, count][1:], strict=True):
        if following > key + 1:
            spans.append({"block": PLAN, "slot": slot, "left": key + 0.5, "right": following - 0.5,
                          "full": False})  # fmt: skip
        spans.append({"block": PLAN, "slot": slot, "left": key - 0.5, "right": key + 0.5,
                      "full": True})  # fmt: skip
    return spans


def _thresholds(values: Sequence[float | None]) -> tuple[float, ...]:
    known = sorted(value for value in values if value is not None)
    low, high = (known[0], known[-1]) if known and known[-1] > known[0] else (0.0, 1.0)
    if low > 0 and high / low > 20:  # changes span decades: equal ratios, not equal steps
        low = max(low, high / 300)
        return tuple(float(f"{low * (high / low) ** (k / 8):.2g}") for k in range(1, 8))
    return tuple(low + (high - low) * k / 8 for k in range(1, 8))


def _legend(levels: Sequence[float], live: Sequence[Row]) -> list[Row]:
    least = min((row["value"] for row in live), default=levels[0])
    first = setting(float(f"{min(least, levels[0]):.1g}"))
    last = f"{setting(float(f'{levels[-1]:.2g}'))} and more"
    first_room, last_room = text_width(first) + 8, text_width(last) + 8
    words: list[Row] = [
        {"text": first, "place": 0, "shift": 0},
        {"text": last, "place": 8, "shift": 6},
    ]
    swatches: list[Row] = [
        {"value": level, "place": place, "shift": 0}
        for place, level in enumerate([levels[0] - 1, *levels])
    ]
    common = {"start": round(first_room, 1), "room": round(first_room + last_room, 1)}
    words[0]["shift"] = -common["start"]
    return [{**row, **common} for row in [*swatches, *words]]


def _finding(title: str, live: Sequence[Row]) -> str:
    if not live:
        return f"{title} No values yet."
    most = max(live, key=lambda row: row["value"])
    return (
        f"{title} Largest: {number(most['value'])}, block {most['block']} at step {most['step']}."
    )


def _values(count: int, levels: Sequence[float]) -> dict[str, Any]:
    """What changes with the number of steps and the rows, but is no row."""
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if count / step <= 11)
    shades = {f"level_{k}": level for k, level in enumerate(levels)}
    return {"x_high": count - 0.5, "x_ticks": [*range(0, count, every)], **shades}


def _beside(middle: str, planned: bool) -> list[alt.Chart]:
    """Bars and numbers right of the rows, their title on the plan's row or above the plot."""
    rows = alt.Chart(layers.source("beside"))
    start = f"width - {MARGIN - 10}"
    bars = (
        rows.transform_filter("isValid(datum.length)")
        .mark_rect(
            stroke=theme.var("t2"), strokeWidth=1.2, fill=theme.var("paper"),
            x=layers.expr(start), x2=layers.expr(f"{start} + datum.length"),
            y=layers.expr(f"{middle} - 4"), y2=layers.expr(f"{middle} + 4"),
        )
        .properties(name="beside")
    )  # fmt: skip
    words: dict[str, Any] = {"align": "left", "baseline": "middle", "fontSize": 11}
    numbers = (
        rows.transform_filter("isValid(datum.length)")
        .mark_text(**words, x=layers.expr(f"{start} + datum.length + 5"), y=layers.expr(middle))
        .encode(text="text:N")
        .properties(name="beside_numbers")
    )
    place = f"scale('y', '{PLAN}') + {ROW / 2}" if planned else "-8"
    title = (
        rows.transform_filter("isValid(datum.title)")
        .mark_text(**words, clip=False, x=layers.expr(start), y=layers.expr(place))
        .encode(text="title:N")
        .properties(name="beside_title")
    )
    return [bars, numbers, title]


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(
    heads: tuple[str, str, str], shown: tuple[str, ...], planned: bool, margin: bool
) -> dict[str, Any]:  # fmt: skip
    height = ROW * len(shown) + (2 if planned else 0)
    x = alt.X(
        "left:Q",
        scale=alt.Scale(
            domain=[-0.5, layers.expr("x_high")], nice=False, zero=False,
            range=[0, {"expr": f"width - {MARGIN if margin else 0}"}],
        ),
        axis=alt.Axis(
            title=heads[0], values=layers.expr("x_ticks"), domain=False, ticks=False,
            grid=False, labelOverlap="greedy", labelSeparation=4, labelFlush=False,
        ),
    )  # fmt: skip
    y = alt.Y(
        "block:N",
        scale=alt.Scale(domain=list(shown), paddingInner=0, paddingOuter=0),
        axis=alt.Axis(title=None, grid=False, labelPadding=5, labelLimit=120),
    )
    shade = alt.Scale(
        type="threshold",
        domain=[layers.expr(f"level_{k}") for k in range(7)],
        range=[theme.var(f"area{k}") for k in range(8)],
    )
    shaded = {"x": x, "x2": "right:Q", "fill": alt.Fill("value:Q", scale=shade, legend=None)}
    looks: dict[str, Any] = {"stroke": theme.var("paper"), "strokeWidth": 1}
    live = alt.Chart(layers.source("live"))
    cells = (
        live.transform_filter("!datum.reused")
        .mark_rect(**looks)
        .encode(y=y, **shaded)
        .properties(name="cells")
        .add_params(alt.selection_point(name=layers.PICK, fields=["key"]))
    )
    middle = f"scale('y', datum.block) + {ROW / 2}"
    strips = (
        live.transform_filter("datum.reused")
        .mark_rect(
            **looks,
            y=layers.expr(f"{middle} - {THIN / 2}"),
            y2=layers.expr(f"{middle} + {THIN / 2}"),
        )
        .encode(**shaded)
        .properties(name="reused")
    )
    hue = layers.hue(alt.Stroke)
    fill = layers.hue(alt.Color)
    fill.condition = [{"test": "!datum.full", "value": theme.var("paper")}]
    spans = (
        alt.Chart(layers.source("plan"), name="plan")
        .mark_rect(
            strokeWidth=1.4, cornerRadius=2,
            y=layers.expr(f"scale('y', '{PLAN}') + 1"),
            y2=layers.expr(f"scale('y', '{PLAN}') + {ROW - 2}"),
        )
        .encode(x=x, x2="right:Q", stroke=hue, color=fill)
    )  # fmt: skip
    at = "datum.start + datum.shift + ({place}) * min(19, (width - datum.room) / 8)"
    swatches = (
        alt.Chart(layers.source("legend"), name="legend")
        .transform_filter("isValid(datum.value)")
        .mark_rect(
            x=layers.expr(at.format(place="datum.place")),
            x2=layers.expr(at.format(place="datum.place + 1") + " - 1"),
            clip=False, y=layers.expr("height + 47"), y2=layers.expr("height + 56"),
        )
        .encode(fill=alt.Fill("value:Q", scale=shade, legend=None))
    )  # fmt: skip
    words = (
        alt.Chart(layers.source("legend"), name="legend_words")
        .mark_text(
            align="left",
            baseline="middle",
            x=layers.expr(at.format(place="datum.place")),
            y=layers.expr("height + 52"),
            fontSize=11,
            clip=False,
        )
        .transform_filter("isValid(datum.text)")
        .encode(text="text:N")
    )
    columns = [
        {"field": "block", "title": heads[1]},
        {"field": "step", "title": heads[0]},
        {"field": "value", "title": heads[2]},
    ]
    about = {
        "series": "block",
        "travel": ["cells", "reused"],
        "pick": False,
        "columns": columns,
        "speech": columns[1:],
    }
    parts = [cells, strips, *([spans] if planned else []), swatches, words]
    if margin:
        parts += _beside(middle, planned)
    return layers.finish(alt.layer(*parts), height, about)
