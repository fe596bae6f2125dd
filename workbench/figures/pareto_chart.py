"""Quality against cost: each method's best points joined, the present setting ringed."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import layers, pareto_labels
from workbench.figures.axes import Axis
from workbench.figures.chart import Chart, Row, is_predicted, records, slots_of
from workbench.figures.grammar import alt, unchecked
from workbench.figures.numbers import number
from workbench.figures.palette import Palette
from workbench.figures.pareto_labels import Better

HEIGHT = 208
NEAR = "near"
"""Name of the selection that holds the point under the pointer."""


def pareto(
    rows: Any,
    x: str | Axis | Mapping[str, Any],
    y: str | Axis | Mapping[str, Any],
    *,
    title: str = "What does each saving cost?",
    subtitle: str = "Upper left is better · hollow: predicted, not yet run",
    description: str = "",
    current: str = "",
    pins: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    slots: Palette | Mapping[str, int] | None = None,
    better: Better = "higher",
    height: int = HEIGHT,
) -> Chart:
    """Draws trials as points, quality against cost; a line joins the best of each method.

    A predicted and a measured row with the same `trial_id` are one trial: the measured point
    fills where it lands, and a hairline leads to it from the prediction. A line leaves out
    points that another of the same method beats in cost and quality both.

    Args:
        rows: data frame or mappings, one per trial: `method`, the columns of both axes, and
            where known `trial_id`, `label` (the setting in a word or two), `predicted` or `basis`,
            and `told` (what is said under the pointer; made from the others where missing).
        x, y: cost and quality, a column or an `Axis`; `<column>.low` and `.high` become whiskers.
        title: the question; 3 to 9 words and a question mark.
        current: trial of the present setting.
        pins: letter of each pinned trial.
        names: text of a method's direct label where it is not the method's name.
        slots: palette or slot by method; the shared palette when None.
        better: which quality is better, "higher" or "lower"; the lines follow it.
        height: of the plot, px.

    Raises:
        ChartError: if a column is missing or an axis cannot hold the rows.
    """
    cost, quality = Axis.of(x), Axis.of(y)
    found = records(rows, (cost.column, quality.column, "method"), "pareto")
    used = slots_of(found, "method", slots)
    pinned, named = dict(pins or {}), dict(names or {})
    kept = [row for row in found if row[cost.column] is not None is not row[quality.column]]
    across = cost.fitted(_values(kept, cost.column))
    down = quality.fitted(_values(kept, quality.column))
    live = _live(kept, across, down, used, current, pinned)
    best = {row["key"] for points in pareto_labels.families(live, better) for row in points}
    live = [{**row, "joined": row["key"] in best} for row in live]
    said = description or _finding(title, live, across.name, down.name)
    return Chart(
        form="pareto",
        title=title,
        subtitle=subtitle,
        description=said,
        spec=layers.filled(
            _spec(across.form, down.form, height),
            said,
            layers.ends("x", across) | layers.ends("y", down),
        ),
        rows={
            "live": live,
            "leaders": _leaders(live),
            "labels": pareto_labels.labels(live, across, down, height, named, better),
        },
        arguments={
            "x": cost.record(), "y": quality.record(), "title": title, "subtitle": subtitle,
            "description": description, "current": current, "pins": pinned, "names": named,
            "slots": used, "better": better, "height": height,
        },
        source=found,
    )  # fmt: skip


def _values(found: Sequence[Row], column: str) -> list[float | None]:
    return [row.get(name) for row in found for name in (column, f"{column}.low", f"{column}.high")]


def _live(
    found: Sequence[Row], x: Axis, y: Axis, used: Mapping[str, int], current: str,
    pins: Mapping[str, str],
) -> list[Row]:  # fmt: skip
    measured = {row.get("trial_id") for row in found if not is_predicted(row)}
    live: list[Row] = []
    for place, row in enumerate(found):
        method, given = str(row["method"]), row.get("trial_id")
        trial = str(given) if given is not None else f"{method} {place}"
        hollow = is_predicted(row)
        twin = hollow and given is not None and given in measured
        label = str(row["label"]) if row.get("label") is not None else ""
        cost, quality = row[x.column], row[y.column]
        live.append({
            "key": f"{trial} predicted" if twin else trial,
            "trial": trial, "load": trial,
            "method": method,
            "slot": used[method],
            "label": label,
            "cost": cost, "quality": quality, "words": y.written(quality),
            "x": x.plotted(cost), "y": y.plotted(quality),
            "x_low": x.plotted(row.get(f"{x.column}.low")),
            "x_high": x.plotted(row.get(f"{x.column}.high")),
            "y_low": y.plotted(row.get(f"{y.column}.low")),
            "y_high": y.plotted(row.get(f"{y.column}.high")),
            "predicted": hollow,
            "twin": twin,
            "current": trial == current and not twin,
            "pin": pins.get(trial, "") if not twin else "",
            "told": str(row["told"]) if row.get("told") is not None else " · ".join(
                [", ".join(filter(None, (method, label))), x.written(cost), y.written(quality)]
            ),
        })  # fmt: skip
    return live


def _leaders(live: Sequence[Row]) -> list[Row]:
    landed = {row["trial"]: row for row in live if not row["predicted"]}
    return [
        {"slot": row["slot"], "x": row["x"], "y": row["y"],
         "x2": landed[row["trial"]]["x"], "y2": landed[row["trial"]]["y"]}
        for row in live if row["twin"]
    ]  # fmt: skip


def _finding(title: str, live: Sequence[Row], x_name: str, y_name: str) -> str:
    if not live:
        return f"{title} No results yet."
    best = max(live, key=lambda row: row["quality"])
    least = min(live, key=lambda row: row["cost"])
    return (
        f"{title} {y_name} against {x_name}, {len(live)} points. "
        f"Highest: {best['method']}, {best['words']}. "
        f"Farthest left: {least['method']}, {number(least['cost'])}."
    )


@functools.lru_cache(maxsize=32)
@unchecked
def _spec(x_axis: Axis, y_axis: Axis, height: int) -> dict[str, Any]:
    x, y = layers.x_channel(x_axis), layers.y_channel(y_axis)
    live = alt.Chart(layers.source("live"))
    whiskers: dict[str, dict[str, Any]] = {
        "x": {"y": y, "x": alt.X("x_low:Q"), "x2": "x_high:Q"},
        "y": {"x": x, "y": alt.Y("y_low:Q"), "y2": "y_high:Q"},
    }
    parts: list[alt.Chart] = [
        live.transform_filter(f"isValid(datum.{one}_low) && isValid(datum.{one}_high)")
        .mark_rule(strokeWidth=1, opacity=0.45)
        .encode(**channels, stroke=layers.hue(alt.Stroke))
        .properties(name=f"spread_{one}")
        for one, channels in whiskers.items()
    ]
    parts.append(
        live.transform_filter("datum.joined")
        .mark_line(strokeWidth=1.4, opacity=0.85)
        .encode(
            x=x, y=y, detail="method:N", order="x:Q",
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
    near = alt.selection_point(
        name=NEAR, fields=["key"], on="pointerover", clear="pointerout", empty=False
    )
    points = layers.points(x, y).add_params(near)
    parts += [layers.ring(x, y), points, *layers.labels(x, y), *layers.readout(near, height)]
    columns = [
        {"field": "method", "title": "Method"},
        {"field": "label", "title": "Setting"},
        {"field": "cost", "title": x_axis.name, "unit": x_axis.unit},
        {"field": "words" if y_axis.scale == "nines" else "quality", "title": y_axis.name,
         "unit": y_axis.unit},
        {"field": "predicted", "title": "Basis"},
    ]  # fmt: skip
    about = {"series": "method", "travel": ["points"], "columns": columns, "speech": columns[2:4]}
    return layers.finish(alt.layer(*parts), height, about)
