"""Curves of one quantity each, such as a compute budget: runs on them, and their best points."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import layers, placement, theme
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, ChartError, Row, plain, records
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import SUPERSCRIPT, count, number
from workbench.figures.text import text_width

PARTS = ("line", "run", "best", "rule", "flag")
"""What a row is: of a curve, a run, the best point of a curve, of a dotted rule, a ring."""

STEPS = 5
"""Colours of the ramp, pale for little."""

EDGE = 0.93
"""Share of the width from which a curve ends at the right edge."""

WIDTHS = ((0.0, 330.0, 190.0), (330.0, 430.0, 290.0), (430.0, 1e9, 400.0))
"""Chart widths, and the room of the curves there; a name that would lie on another is left out."""

LABELLED = 9
"""Most curves that are named at their end; of more, every second one or fewer."""


def contours(
    rows: Any,
    x: str | Axis | Mapping[str, Any] = "x",
    y: str | Axis | Mapping[str, Any] = "y",
    level: str | Axis | Mapping[str, Any] = "level",
    *,
    title: str = "Where is the least of each?",
    subtitle: str = "",
    description: str = "",
    extrapolated: float | None = None,
    height: int = 208,
) -> Chart:
    """Draws a curve for each level, shaded by it; runs as points, the best as hollow ones.

    Args:
        rows: data frame or mappings, one per point in the order in which curves are drawn: `part`
            (line, run, best, rule or flag), the columns of both axes and of the level, and where
            known `key` and `label`. A curve may turn back. `best` points are joined by a dotted
            line, `rule` points by one without marks; `flag` is a ring around a run.
        x, y: a column or an `Axis`.
        level: of each curve, and of the budget a run belongs to: a column or an `Axis`, whose
            `words` "none" leaves curves without names.
        title: the question.
        extrapolated: x beyond which the region is hatched and called extrapolated.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing, a part is unknown, or an axis cannot hold the rows.
    """
    across, up, shade = Axis.of(x), Axis.of(y), Axis.of(level)
    extrapolated = plain(extrapolated)
    found = records(rows, (across.column, up.column, shade.column, "part"), "contours")
    if unknown := {row["part"] for row in found} - set(PARTS):
        raise ChartError(f"contours: part {sorted(map(str, unknown))} is none of {PARTS}")
    arguments = {
        "x": across.record(), "y": up.record(), "level": shade.record(), "title": title,
        "subtitle": subtitle, "description": description, "extrapolated": extrapolated,
        "height": height,
    }  # fmt: skip
    kept = [row for row in found if row[across.column] is not None is not row[up.column]]
    across = across.fitted([row[across.column] for row in kept], tight=True)
    up = up.fitted([row[up.column] for row in kept])
    live = _live(kept, across, up, shade)
    labels, gutter = _labels(live, (across, up), shade, height)
    beyond = []
    if extrapolated is not None:
        beyond = [{"from": extrapolated, "to": across.plotted(across.ends[1]), "y": height - 10.0}]
    said = description or _finding(title, live, shade)
    heads = (across.form, up.form, shade.title or shade.column)
    spec = _spec(heads, bool(beyond), any(row.get("key") is not None for row in kept), height)
    values = layers.ends("x", across) | layers.ends("y", up) | {"gutter": gutter}
    return Chart(
        form="contours",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(spec, said, values),
        rows={"live": live, "labels": labels, "beyond": beyond},
        arguments=arguments,
        source=found,
    )


def _live(kept: Sequence[Row], x: Axis, y: Axis, shade: Axis) -> list[Row]:
    steps = _steps([row[shade.column] for row in kept])
    return [
        {
            "key": str(row["key"]) if row.get("key") is not None else f"{row['part']} {place}",
            "part": row["part"], "order": place, "label": str(row.get("label") or ""),
            "level": row[shade.column], "step": steps.get(row[shade.column], STEPS - 1),
            "across": row[x.column], "value": row[y.column],
            "x": x.plotted(row[x.column]), "y": y.plotted(row[y.column]),
        }
        for place, row in enumerate(kept)
    ]  # fmt: skip


def _steps(levels: Sequence[Any]) -> dict[Any, int]:
    """Each level's step of the ramp, by its rank."""
    ordered = sorted({level for level in levels if level is not None})
    last = max(len(ordered) - 1, 1)
    return {level: round((STEPS - 1) * rank / last) for rank, level in enumerate(ordered)}


def _labels(
    live: Sequence[Row], axes: tuple[Axis, Axis], shade: Axis, height: int
) -> tuple[list[Row], float]:  # fmt: skip
    """Each curve's level in words at its end; those that end at the right edge are kept apart."""
    last = {row["level"]: row for row in live if row["part"] == "line"}
    ends = [row for level, row in sorted(last.items(), key=lambda item: item[0] or 0)]
    every = -(-len(ends) // LABELLED) if ends else 1
    ends = ends[::-1][::every]
    if not ends or shade.words == "none":
        return [], 8.0
    x, y = axes
    across, down = x.pixels(1.0), y.pixels(height, flip=True)
    places = [min(max(down(row["y"]), 0), height) for row in ends]
    edge = [k for k, row in enumerate(ends) if across(row["x"]) > EDGE]
    apart = placement.spread([places[k] for k in edge], placement.LINE, height - 7.0)
    moved = [*places]
    for k, spot in zip(edge, apart, strict=True):
        moved[k] = spot
    texts = [written(row["level"], shade) for row in ends]
    rows: list[Row] = []
    for lo, hi, wide in WIDTHS:
        taken: list[tuple[float, float, float]] = []  # left, right and height of each label
        order = sorted(range(len(ends)), key=lambda k: -across(ends[k]["x"]))
        for k in order:
            left = wide * across(ends[k]["x"])
            right, spot = left + text_width(texts[k]) + 4, moved[k]
            if any(left < r and right > a and abs(spot - at) < 12 for a, r, at in taken):
                continue
            taken.append((left, right, spot))
            rows.append({
                "text": texts[k], "step": ends[k]["step"], "x": ends[k]["x"], "y": ends[k]["y"],
                "dy": round(spot - places[k], 1), "lo": lo, "hi": hi,
            })  # fmt: skip
    return rows, round(14 + max(map(text_width, texts)))


def written(level: float, shade: Axis) -> str:
    """Returns a level in words: 3 × 10¹⁴ for powers, 300 M for counts, with its unit."""
    words = count(level) if shade.words == "count" else number(level)
    if shade.words == "power" and level > 0:
        mantissa, power = f"{level:.0e}".split("e")
        head = "" if mantissa == "1" else f"{mantissa} × "
        words = f"{head}10{str(int(power)).translate(SUPERSCRIPT)}"
    return f"{words} {shade.unit}".strip()


def _finding(title: str, live: Sequence[Row], shade: Axis) -> str:
    best = [row for row in live if row["part"] == "best"]
    if not best:
        return f"{title} {len(live)} points." if live else f"{title} No values yet."
    ends = "; ".join(
        f"at {written(row['level'], shade)} {number(row['across'])}, {number(row['value'])}"
        if row["level"] is not None
        else f"{number(row['across'])}, {number(row['value'])}"
        for row in (best[0], best[-1])
    )
    return f"{title} {ends}."


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(
    heads: tuple[Axis, Axis, str], extrapolated: bool, keyed: bool, height: int
) -> dict[str, Any]:
    x_axis, y_axis, shade = heads
    edge = "width - gutter"
    x = layers.x_channel(x_axis, scale={"range": [0, {"expr": edge}]})
    y = layers.y_channel(y_axis)
    ramp = alt.Scale(
        domain=[*range(STEPS)], range=[theme.var(f"budget{step}") for step in range(STEPS)]
    )
    live = alt.Chart(layers.source("live"))

    def part(name: str) -> alt.Chart:
        return live.transform_filter(f"datum.part == '{name}'")

    parts: list[alt.Chart] = []
    if extrapolated:
        parts += layers.beyond()
    stroke = alt.Stroke("step:O", scale=ramp, legend=None)
    dotted: dict[str, Any] = {"strokeWidth": 1.2, "strokeDash": [1.5, 3], "color": theme.var("t1")}
    parts += [
        part("line")
        .mark_line(strokeWidth=1.7, strokeJoin="round")
        .encode(x=x, y=y, detail="level:N", order="order:Q", stroke=stroke)
        .properties(name="curves"),
        *(
            part(name)
            .mark_line(**dotted)
            .encode(x=x, y=y, order="order:Q")
            .properties(name=f"{name}_line")
            for name in ("best", "rule")
        ),
        part("run")
        .mark_point(shape="circle", size=26, strokeWidth=0, opacity=1, filled=True)
        .encode(x=x, y=y, fill=alt.Fill("step:O", scale=ramp, legend=None))
        .properties(name="runs")
        .add_params(alt.selection_point(name=layers.PICK, fields=["key"])),
        part("best")
        .mark_point(
            shape="circle", size=52, strokeWidth=1.7, opacity=1, stroke=theme.var("t1"),
            fill=theme.var("paper"),
        )
        .encode(x=x, y=y)
        .properties(name="bests"),
    ]  # fmt: skip
    parts.append(
        part("flag")
        .mark_point(shape="circle", size=150, fill=None, stroke=theme.var("warn"), strokeWidth=1.7)
        .encode(x=x, y=y)
        .properties(name="flags")
    )
    words: dict[str, Any] = {
        "align": "left", "baseline": "middle", "dx": 7, "dy": layers.expr("datum.dy"),
        "fontSize": 11, "clip": False,
    }  # fmt: skip
    named = (
        alt.Chart(layers.source("labels"))
        .transform_filter("datum.lo <= width && width < datum.hi")
        .encode(x=x, y=y, text="text:N")
    )
    halo = named.mark_text(**words, stroke=theme.var("paper"), strokeWidth=3, strokeJoin="round")
    parts += [
        halo.properties(name="halo"),
        named.mark_text(**words, color=theme.var("t2")).properties(name="labels"),
    ]
    columns = [
        {"field": "part", "title": "What"},
        {"field": "label", "title": "Name"},
        {"field": "level", "title": shade},
        {"field": "across", "title": x_axis.name, "unit": x_axis.unit},
        {"field": "value", "title": y_axis.name, "unit": y_axis.unit},
    ]
    about = {
        "series": "level",
        "travel": ["runs", "bests"],
        "pick": keyed,
        "columns": columns,
        "speech": columns[1:],
    }
    return layers.finish(alt.layer(*parts), height, about)
