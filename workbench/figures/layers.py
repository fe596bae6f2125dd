"""Pieces every chart form is laid from, and the finished specification."""

import json
from collections.abc import Mapping
from typing import Any

from workbench.figures import theme
from workbench.figures.axes import Axis
from workbench.figures.chart import slot_scale
from workbench.figures.grammar import alt

PICK = "pick"
"""Name of the selection that holds the chosen row's `key`."""


def source(name: str) -> alt.NamedData:
    """Returns a named data set, filled when the chart is shown."""
    return alt.NamedData(name=name)


def hue(channel: type, text: bool = False) -> Any:
    """Returns a channel coloured by the method's slot."""
    return channel("slot:O", scale=alt.Scale(**slot_scale("mt" if text else "m")), legend=None)


def shape() -> alt.Shape:
    """Returns the method's mark."""
    return alt.Shape("slot:O", scale=alt.Scale(**slot_scale("mark")), legend=None)


def dash() -> alt.StrokeDash:
    """Returns the method's dash."""
    return alt.StrokeDash("slot:O", scale=alt.Scale(**slot_scale("dash")), legend=None)


def expr(text: str) -> alt.ExprRef:
    """Returns a mark property computed for each row."""
    return alt.ExprRef(text)


def x_channel(
    axis: Axis,
    name: str = "x",
    scale: Mapping[str, Any] | None = None,
    look: Mapping[str, Any] | None = None,
) -> alt.X:
    """Returns the horizontal position: axis words below, line and ticks, no grid.

    Args:
        axis: its title and scale count; ends and ticks are values of the chart, see `ends`.
        name: field that holds the plotted value.
        scale: more of the scale, such as its range.
        look: more of the axis, such as a grid.
    """
    drawn = alt.Axis(
        title=axis.title or None,
        values=expr("x_ticks"),
        labelExpr="x_words[indexof(x_ticks, datum.value)]",
        labelOverlap="greedy",
        labelSeparation=4,
        labelFlush=False,
        **(look or {}),
    )
    return alt.X(f"{name}:Q", scale=_scale(axis, "x", **(scale or {})), axis=drawn)


def y_channel(axis: Axis, name: str = "y") -> alt.Y:
    """Returns the vertical position: name lying above the axis, hairline grid, no line."""
    look = alt.Axis(
        title=axis.title or None,
        titleAngle=0,
        titleAlign="left",
        titleAnchor="end",
        titleBaseline="bottom",
        titleX=expr("y_title"),
        titleY=-12,
        values=expr("y_ticks"),
        tickCount=expr("length(y_ticks)"),  # fewer and Vega leaves out every second value
        labelExpr="y_words[indexof(y_ticks, datum.value)]",
    )
    return alt.Y(f"{name}:Q", scale=_scale(axis, "y"), axis=look)


def _scale(axis: Axis, side: str, **more: Any) -> alt.Scale:
    more |= {"type": "log"} if axis.scale == "log" else {}
    domain = [expr(f"{side}_low"), expr(f"{side}_high")]
    return alt.Scale(domain=domain, nice=False, zero=False, **more)


def ends(side: str, axis: Axis) -> dict[str, Any]:
    """Returns the values of an axis that change with the rows: its ends, ticks and words.

    They are values of a chart and no part of its specification, so that a move that needs other
    ends needs no other specification: neither to be built here, nor to be compiled in a browser.
    """
    low, high = (axis.plotted(end) for end in axis.ends)
    words = axis.ticks()
    return {
        f"{side}_low": low,
        f"{side}_high": high,
        f"{side}_ticks": words["values"],
        f"{side}_words": words["labels"],
        f"{side}_title": -round(words["room"] + 6),
    }


def filled(spec: Mapping[str, Any], description: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a specification with its finding and the values of its parameters."""
    params = [{"name": name, "value": value} for name, value in values.items()]
    return {**spec, "description": description, "params": [*spec.get("params", ()), *params]}


def points(x: alt.X, y: alt.Y, data: str = "live") -> alt.Chart:
    """Returns the points one can pick: hollow predicted, filled measured."""
    return (
        alt.Chart(source(data), name="points")
        .mark_point(size=52, strokeWidth=1.7, opacity=1, strokeDash=[1, 0])
        .encode(
            x=x,
            y=y,
            shape=shape(),
            stroke=hue(alt.Stroke),
            fill=alt.condition("datum.predicted", alt.value(theme.var("paper")), hue(alt.Fill)),
        )
        .add_params(alt.selection_point(name=PICK, fields=["key"]))
    )


def ring(x: alt.X, y: alt.Y, data: str = "live") -> alt.Chart:
    """Returns the ring around the current setting."""
    return (
        alt.Chart(source(data), name="current")
        .mark_point(
            shape="circle", size=290, fill=None, stroke=theme.var("focus"), strokeWidth=2, opacity=1
        )
        .encode(x=x, y=y)
        .transform_filter("datum.current")
    )


def labels(x: alt.X, y: alt.Y, data: str = "labels") -> list[alt.Chart]:
    """Returns the placed texts over a halo of paper, each only at the widths it was placed for."""
    base = (
        alt.Chart(source(data))
        .transform_filter("datum.lo <= width && width < datum.hi")
        .encode(x=x, y=y, text="text:N")
    )
    looks: dict[str, Any] = {
        "align": expr("datum.align"),
        "baseline": "middle",
        "dx": expr("datum.dx"),
        "dy": expr("datum.dy"),
        "fontSize": 11,
        "fontWeight": expr("datum.kind == 'pin' ? 600 : datum.kind == 'series' ? 500 : 400"),
        "clip": False,
    }
    halo = base.mark_text(**looks, stroke=theme.var("paper"), strokeWidth=3, strokeJoin="round")
    color = hue(alt.Color, text=True)
    color.condition = [
        {"test": "datum.kind == 'pin'", "value": theme.var("t1")},
        {"test": "datum.kind == 'point'", "value": theme.var("t2")},
    ]
    words = base.mark_text(**looks).encode(color=color)
    return [halo.properties(name="halo"), words.properties(name="labels")]


HATCH = 9
"""Distance of the hatching's lines, px across."""


def beyond() -> list[alt.Chart]:
    """Returns the hatched region of the data set `beyond`: `from`, `to`, and `y` of its word."""
    region = alt.Chart(source("beyond"))
    # A line starts at the foot or, left of the region, on its edge; and ends at the top or right.
    # One that lies outside has no length: what is outside a plot makes room for itself.
    left, wide = "scale('x', datum.from)", "(scale('x', datum.to) - scale('x', datum.from))"
    start, end = f"clamp(datum.at, 0, {wide})", f"clamp(datum.at + height, 0, {wide})"
    hatching = (
        region.transform_calculate(at=f"sequence(-{60 * HATCH}, {100 * HATCH}, {HATCH})")
        .transform_flatten(["at"])
        .mark_rule(color=theme.var("line"), strokeWidth=1.2, strokeDash=[1, 0])
        .encode(
            x=alt.value(expr(f"{left} + {start}")), x2=alt.value(expr(f"{left} + {end}")),
            y=alt.value(expr(f"clamp(height - ({start} - datum.at), 0, height)")),
            y2=alt.value(expr(f"clamp(height - ({end} - datum.at), 0, height)")),
            detail="at:Q",
        )
    )  # fmt: skip
    words: dict[str, Any] = {
        "align": "right", "baseline": "middle", "dx": -6, "y": expr("datum.y"), "fontSize": 11,
    }  # fmt: skip
    named = region.encode(x=alt.X("to:Q"), text=alt.value("extrapolated"))
    halo = named.mark_text(**words, stroke=theme.var("paper"), strokeWidth=4, strokeJoin="round")
    return [
        region.mark_rect(fill=theme.var("fill"), y=0, y2=expr("height"))
        .encode(x=alt.X("from:Q"), x2="to:Q")
        .properties(name="beyond"),
        hatching.properties(name="hatching"),
        halo.properties(name="beyond_halo"),
        named.mark_text(**words).properties(name="beyond_word"),
    ]


def readout(near: alt.Parameter, height: float, data: str = "live") -> list[alt.Chart]:
    """Returns the words of the point under the pointer, in the corner that matters least."""
    base = alt.Chart(source(data)).transform_filter(near).encode(text="told:N")
    looks: dict[str, Any] = {
        "align": "right", "baseline": "bottom", "fontSize": 11,
        "x": expr("width"), "y": height - 4,
    }  # fmt: skip
    halo = base.mark_text(**looks, stroke=theme.var("paper"), strokeWidth=4, strokeJoin="round")
    words = base.mark_text(**looks, color=theme.var("t1"))
    return [halo.properties(name="readout_halo"), words.properties(name="readout")]


def finish(chart: Any, height: float, about: dict[str, Any]) -> dict[str, Any]:
    """Returns the specification with the look, and what `chart.js` needs to know.

    Args:
        chart: the layers.
        height: of the plot, in px; the width is the reader's.
        about: `columns`, `speech`, `series`, `travel` and `empty` of the live view.
    """
    spec = chart.properties(height=height, width=400).to_dict(validate=False)
    spec.pop("datasets", None)
    spec["config"] = theme.config()
    spec["usermeta"] = {"workbench": {"data": "live", **about}}
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    found: dict[str, Any] = json.loads(json.dumps(spec, allow_nan=False))
    return found
