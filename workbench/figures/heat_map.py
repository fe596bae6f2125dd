"""Steps across, blocks down, one stepped ramp; the plan drawn above its steps."""

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from workbench.figures import layers, theme
from workbench.figures.chart import Chart, ChartError, Row, records
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number, setting
from workbench.figures.palette import slot as shared_slot
from workbench.figures.text import text_width

ROW = 17
"""Height of a block's row, px."""

PLAN = "plan"


def heat(
    rows: Any,
    x: str = "step",
    y: str = "block",
    value: str = "value",
    *,
    title: str = "Where do features move, and what does the plan skip?",
    subtitle: str = "Relative change since the step before · faded: reused from the key step",
    description: str = "",
    x_title: str = "Sampling step",
    y_title: str = "Block",
    value_title: str = "Change",
    steps: int = 0,
    blocks: Sequence[str] = (),
    plan: Sequence[int] = (),
    reused: str = "reused",
    thresholds: Sequence[float] = (),
    method: str = "",
    slot: int | None = None,
) -> Chart:
    """Draws a value for each step and block as a stepped shade.

    Args:
        rows: data frame or mappings, one per cell.
        x, y, value: columns: step from 0, block's name, value.
        title: the question.
        value_title: what a cell shows, for speech and table.
        steps: number of steps; one more than the largest when 0.
        blocks: names from top to bottom; order of appearance when empty.
        plan: key steps, drawn above: filled where a step runs in full, hollow until the next.
        reused: column telling that a cell is not computed; such cells are faded.
        thresholds: 7 rising values between the 8 shades; from the rows when empty.
        method: name of the plan's method, which gives its colour.
        slot: the plan's colour where the name does not decide.

    Raises:
        ChartError: if a column is missing or thresholds do not rise.
    """
    arguments = {name: given for name, given in locals().items() if name != "rows"}
    found = records(rows, (x, y, value), "heat")
    names = list(blocks) or list(dict.fromkeys(str(row[y]) for row in found))
    count = steps or 1 + max((int(row[x]) for row in found), default=0)
    levels = tuple(thresholds) or _thresholds([row[value] for row in found])
    if len(levels) != 7 or any(a >= b for a, b in pairwise(levels)):
        raise ChartError(f"heat: thresholds must be 7 rising values: {list(levels)}")
    number_slot = slot if slot is not None else shared_slot(method) if method else 1
    keys = sorted({int(step) for step in plan if 0 <= int(step) < count})
    arguments |= {
        "blocks": names, "steps": count, "thresholds": list(levels), "slot": number_slot,
        "plan": keys,
    }  # fmt: skip
    live = [
        {
            "key": f"{int(row[x])} {row[y]}", "step": int(row[x]), "block": str(row[y]),
            "left": row[x] - 0.5, "right": row[x] + 0.5, "value": row[value],
            "label": "", "reused": bool(row.get(reused)),
        }
        for row in found if row[value] is not None and str(row[y]) in names
    ]  # fmt: skip
    spans = _plan_rows(keys, count, number_slot)
    shown = ([PLAN] if keys else []) + names
    said = description or _finding(title, live)
    spec = _spec(x_title, y_title, value_title, count, tuple(shown), levels, bool(keys))
    return Chart(
        form="heat",
        title=title,
        subtitle=subtitle,
        description=said,
        spec={**spec, "description": said},
        rows={"live": live, "plan": spans, "legend": _legend(levels, live)},
        arguments=arguments,
        source=found,
    )


def _plan_rows(keys: Sequence[int], count: int, slot: int) -> list[Row]:
    spans: list[Row] = []
    for key, following in zip(keys, [*keys[1:], count], strict=True):
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


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(
    x_title: str, y_title: str, value_title: str, count: int, shown: tuple[str, ...],
    levels: tuple[float, ...], planned: bool,
) -> dict[str, Any]:  # fmt: skip
    height = ROW * len(shown) + (2 if planned else 0)
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if count / step <= 11)
    x = alt.X(
        "left:Q",
        scale=alt.Scale(domain=[-0.5, count - 0.5], nice=False, zero=False),
        axis=alt.Axis(
            title=x_title, values=list(range(0, count, every)), domain=False, ticks=False,
            grid=False, labelOverlap="greedy", labelFlush=False,
        ),
    )  # fmt: skip
    y = alt.Y(
        "block:N",
        scale=alt.Scale(domain=list(shown), paddingInner=0, paddingOuter=0),
        axis=alt.Axis(title=None, grid=False, labelPadding=5, labelLimit=120),
    )
    shade = alt.Scale(
        type="threshold",
        domain=list(levels),
        range=[theme.var(f"area{k}") for k in range(8)],
    )
    cells = (
        alt.Chart(layers.source("live"), name="cells")
        .mark_rect(stroke=theme.var("paper"), strokeWidth=1)
        .encode(
            x=x, x2="right:Q", y=y,
            fill=alt.Fill("value:Q", scale=shade, legend=None),
            fillOpacity=alt.condition("datum.reused", alt.value(0.42), alt.value(1)),
        )
        .add_params(alt.selection_point(name=layers.PICK, fields=["key"]))
    )  # fmt: skip
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
        {"field": "block", "title": y_title},
        {"field": "step", "title": x_title},
        {"field": "value", "title": value_title},
    ]
    about = {
        "series": "block",
        "travel": ["cells"],
        "pick": False,
        "columns": columns,
        "speech": columns[1:],
    }
    parts = [cells, *([spans] if planned else []), swatches, words]
    return layers.finish(alt.layer(*parts), "", height, about)
