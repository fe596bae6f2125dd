"""Predicted beside measured, one pair of bars a method: outlined above filled."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.figures import axes, layers, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, Row, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.numbers import predicted as about
from workbench.figures.palette import Palette

GROUP = 46
"""Height of one method's name and bars, px."""

GUTTER = 46
"""Room for the number of the longest bar, px."""

MEASURED = Axis("measured", unit="%")


def bars(
    rows: Any,
    measured: str | Axis | Mapping[str, Any] = MEASURED,
    predicted: str = "predicted",
    *,
    title: str = "Is saved arithmetic saved time?",
    subtitle: str = "% of full sampling · hollow: operations · filled: time",
    description: str = "",
    slots: Palette | Mapping[str, int] | None = None,
) -> Chart:
    """Draws two bars for each row: what was predicted over what was measured.

    Args:
        rows: data frame or mappings, one per method, in the order they stand: `method`, either
            value or both, and where known `low` and `high`, the whisker of the measured one, and
            `trial_id`.
        measured: a column or an `Axis`; usually without a title, as the subtitle gives the unit.
        predicted: column of the same quantity before it was measured.
        title: the question.
        slots: palette or slot by method; the shared palette when None.

    Raises:
        ChartError: if the method's column is missing.
    """
    axis = Axis.of(measured)
    found = records(rows, ("method",), "bars")
    used = slots_of(found, "method", slots)
    arguments = {
        "measured": axis.record(), "predicted": predicted, "title": title, "subtitle": subtitle,
        "description": description, "slots": used,
    }  # fmt: skip
    live: list[Row] = []
    names: list[Row] = []
    for place, row in enumerate(found):
        name, top = str(row["method"]), GROUP * place
        trial = str(row["trial_id"]) if row.get("trial_id") is not None else name
        names.append({"text": name, "slot": used[name], "y": top + 8, "zero": 0})
        for hollow, column in ((True, predicted), (False, axis.column)):
            value = row.get(column)
            if value is None:
                continue
            whisker = (None, None) if hollow else (row.get("low"), row.get("high"))
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
    if axis.domain is None:
        low, high = axes.domain(values, zero=True)
        axis = replace(axis, domain=(low, min(high, max(values, default=high))))
    spec = _spec(axis.form, max(len(found), 1))
    said = description or _finding(title, live, axis.unit)
    return Chart(
        form="bars",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(spec, said, layers.ends("x", axis)),
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
def _spec(axis: Axis, count: int) -> dict[str, Any]:
    look = {"grid": True, "domain": False, "ticks": False}
    edge = {"range": [0, {"expr": f"width - {GUTTER}"}]}
    x = layers.x_channel(axis, "zero", scale=edge, look=look)
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
        {"field": "value", "title": axis.title or "Value", "unit": axis.unit},
        {"field": "low", "title": "Low", "unit": axis.unit},
        {"field": "high", "title": "High", "unit": axis.unit},
    ]
    about_live = {
        "series": "method",
        "travel": ["bars"],
        "columns": columns,
        "speech": columns[2:3],
    }
    return layers.finish(alt.layer(bar, whisker, number_words, names), height, about_live)
