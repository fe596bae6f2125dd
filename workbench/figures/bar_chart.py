"""Predicted beside measured, one pair of bars a method: outlined above filled."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import axes, layers, theme
from workbench.figures.axes import Axis, Domain
from workbench.figures.chart import Chart, Row, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.numbers import predicted as about
from workbench.figures.palette import Palette

GROUP = 46
"""Height of one method's name and bars, px."""


def bars(
    rows: Any,
    *,
    title: str = "Is saved arithmetic saved time?",
    subtitle: str = "% of full sampling · hollow: operations · filled: time",
    description: str = "",
    x_title: str = "",
    unit: str = "%",
    x_domain: Domain | None = None,
    method: str = "method",
    predicted: str = "predicted",
    measured: str = "measured",
    low: str = "low",
    high: str = "high",
    key: str = "trial_id",
    slots: Palette | Mapping[str, int] | None = None,
) -> Chart:
    """Draws two bars for each row: what was predicted over what was measured.

    Args:
        rows: data frame or mappings, one per method, in the order they stand.
        title: the question.
        x_title: word below the axis; usually empty, as the subtitle gives the unit.
        unit: sign behind each tick.
        x_domain: fixed ends; from zero to a round number when None.
        method, predicted, measured, low, high, key: columns. Either value may be missing;
            `low` and `high` are the whisker of the measured one.
        slots: palette or slot by method; the shared palette when None.

    Raises:
        ChartError: if the method's column is missing.
    """
    arguments = {name: value for name, value in locals().items() if name not in ("rows", "slots")}
    found = records(rows, (method,), "bars")
    used = slots_of(found, method, slots)
    arguments["slots"] = used
    live: list[Row] = []
    names: list[Row] = []
    for place, row in enumerate(found):
        name, top = str(row[method]), GROUP * place
        trial = str(row[key]) if row.get(key) is not None else name
        names.append({"text": name, "slot": used[name], "y": top + 8, "zero": 0})
        for hollow, column in ((True, predicted), (False, measured)):
            value = row.get(column)
            if value is None:
                continue
            whisker = (None, None) if hollow else (row.get(low), row.get(high))
            written = about(number(value)) if hollow else number(value)
            live.append({
                "key": f"{trial} {'predicted' if hollow else 'measured'}",
                "trial": trial, "load": trial, "method": name, "slot": used[name], "label": "",
                "value": value, "predicted": hollow, "zero": 0,
                "y": top + (17.5 if hollow else 30), "y2": top + (27.5 if hollow else 40),
                "middle": top + (22.5 if hollow else 35),
                "low": whisker[0], "high": whisker[1],
                "end": max(value, whisker[1] or value), "text": written,
            })  # fmt: skip
    values = [row["end"] for row in live] + [row["value"] for row in live]
    ends: Domain = (x_domain[0], x_domain[1]) if x_domain else axes.domain(values, zero=True)
    if x_domain is None and live and ends[1] > max(values):
        ends = (ends[0], max(values))  # the longest bar reaches the end of the plot
    spec = _spec(x_title, unit, ends, max(len(found), 1))
    said = description or _finding(title, live, unit)
    return Chart(
        form="bars",
        title=title,
        subtitle=subtitle,
        description=said,
        spec={**spec, "description": said},
        rows={"live": live, "names": names},
        arguments=arguments,
        source=found,
    )


def _finding(title: str, live: Sequence[Row], unit: str) -> str:
    measured = [row for row in live if not row["predicted"]]
    if not measured:
        return f"{title} Nothing measured yet, {len(live)} predicted."
    least = min(measured, key=lambda row: row["value"])
    return f"{title} Least measured: {least['method']}, {number(least['value'])} {unit}."


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(x_title: str, unit: str, ends: Domain, count: int) -> dict[str, Any]:
    words = Axis("zero", x_title, unit, ends).ticks()
    gutter = 46
    x = alt.X(
        "zero:Q",
        scale=alt.Scale(
            domain=list(ends), nice=False, zero=False, range=[0, {"expr": f"width - {gutter}"}]
        ),
        axis=layers.x_axis(words, grid=True, domain=False, ticks=False),
    )
    height = GROUP * count
    down = alt.Scale(domain=[0, height], range=[0, {"expr": "height"}], nice=False, zero=False)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", scale=down, axis=None)

    live = alt.Chart(layers.source("live"))
    bar = (
        live.mark_rect(strokeWidth=1.5, opacity=1)
        .encode(
            x=x, x2="value:Q", y=y("y"), y2="y2:Q",
            stroke=layers.hue(alt.Stroke),
            fill=alt.condition(
                "datum.predicted", alt.value(theme.var("paper")), layers.hue(alt.Fill)
            ),
        )
        .properties(name="bars")
        .add_params(alt.selection_point(name=layers.PICK, fields=["key"]))
    )  # fmt: skip
    whisker = (
        live.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=1.2, color=theme.var("t1"), opacity=1)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y("middle"))
        .properties(name="whiskers")
    )
    number_words = (
        live.mark_text(
            align="left", baseline="middle", dx=6, fontSize=11, color=theme.var("t1"),
            fontWeight=layers.expr("datum.predicted ? 400 : 600"),
        )
        .encode(x=alt.X("end:Q"), y=y("middle"), text="text:N")
        .properties(name="values")
    )  # fmt: skip
    names = (
        alt.Chart(layers.source("names"), name="names")
        .mark_text(align="left", baseline="middle", fontSize=11, fontWeight=500)
        .encode(x=x, y=y("y"), text="text:N", color=layers.hue(alt.Color, text=True))
    )
    columns = [
        {"field": "method", "title": "Method"},
        {"field": "predicted", "title": "Basis"},
        {"field": "value", "title": x_title or "Value", "unit": unit},
        {"field": "low", "title": "Low", "unit": unit},
        {"field": "high", "title": "High", "unit": unit},
    ]
    about_live = {
        "series": "method",
        "travel": ["bars"],
        "columns": columns,
        "speech": columns[2:3],
    }
    return layers.finish(alt.layer(bar, whisker, number_words, names), "", height, about_live)
