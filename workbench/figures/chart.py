"""Chart: a question, a Vega-Lite specification, and the rows it is drawn from."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.figures import palette as palettes
from workbench.figures import theme as themes
from workbench.figures.palette import Palette, Theme

Row = dict[str, Any]

WIDTH = 560
"""Width of a picture nobody gave one, in px: half a panel."""


class ChartError(ValueError):
    """Rows or arguments a chart cannot be drawn from."""


@dataclass(frozen=True)
class Chart:
    """A chart that can be shown live, exported and drawn again.

    Args:
        form: name of the function that drew it ("pareto").
        title: the question it answers; HTML in a panel, part of the picture on export.
        subtitle: unit, then how to read it.
        description: question and finding in words, for readers who do not see it.
        spec: Vega-Lite 6 without its rows; data sets are named, colours are CSS variables.
        rows: the rows of each named data set; `live` holds the points one can pick.
        arguments: how the form was called, without its rows.
        source: the rows the form was called with.
    """

    form: str
    title: str
    subtitle: str
    description: str
    spec: Mapping[str, Any]
    rows: Mapping[str, Sequence[Row]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    source: Sequence[Row] = ()

    def with_rows(self) -> dict[str, Any]:
        """Returns the whole specification, its rows included, for a live view."""
        return {
            **copy.deepcopy(dict(self.spec)),
            "datasets": {k: [*v] for k, v in self.rows.items()},
        }

    def drawn(
        self, theme: Theme = "light", width: int = WIDTH, titled: bool = True
    ) -> dict[str, Any]:
        """Returns the specification of a picture: hex colours, title written into it.

        Args:
            theme: "light" or "dark".
            width: of the whole picture, in px.
            titled: whether question and subtitle stand above the chart.
        """
        if theme not in ("light", "dark"):
            raise ChartError(f'theme must be "light" or "dark": {theme!r}')
        spec = self.with_rows()
        spec.pop("usermeta", None)
        if titled:
            spec["title"] = {
                "text": wrap(self.title, (width - 24) / 8.6),
                "subtitle": wrap(self.subtitle, (width - 24) / 6.8),
            }
        spec["config"] = {**spec["config"], "padding": 12}
        spec["width"] = width
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
        return themes.resolve(spec, theme)

    def _repr_html_(self) -> str:
        """Shows the chart where there are no widgets: a static SVG on paper."""
        from workbench.figures.export import svg

        return svg(self)


def wrap(text: str, letters: float) -> list[str]:
    """Breaks a text into lines of at most `letters` letters, at spaces."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def records(rows: Any, needed: Iterable[str], form: str) -> list[Row]:
    """Returns rows of a data frame or a sequence of mappings as plain dictionaries.

    Raises:
        ChartError: if a needed column is missing, named with the columns found.
    """
    if hasattr(rows, "to_dict"):
        found = rows.to_dict("records")
        columns = [str(name) for name in rows.columns]
    else:
        found = [dict(row) for row in rows]
        columns = list(dict.fromkeys(name for row in found for name in row))
    missing = [name for name in needed if name not in columns]
    if found and missing:
        raise ChartError(f'{form}: column "{missing[0]}" is missing. Found: {", ".join(columns)}')
    return [{str(name): plain(value) for name, value in row.items()} for row in found]


def plain(value: Any) -> Any:
    """Returns a numpy or pandas value as a plain Python one; what is not a number is None."""
    if value is None or type(value) in (str, int, bool):  # most of a chart's cells
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int | str):
        return value
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)


def is_predicted(row: Row) -> bool:
    """Tells whether a row is predicted: by its flag `predicted`, else by `basis`."""
    if row.get("predicted") is not None:
        return bool(row["predicted"])
    return row.get("basis") in ("modelled", "predicted")


def slots_of(rows: Sequence[Row], method: str, slots: Palette | Mapping[str, int] | None) -> dict:
    """Returns the slot of every method: given, in the row, else the shared palette's."""
    names = list(dict.fromkeys(str(row[method]) for row in rows))
    given = slots.as_dict() if isinstance(slots, Palette) else dict(slots or {})
    for row in rows:
        if row.get("slot") is not None:
            given.setdefault(str(row[method]), int(row["slot"]))
    look_up = slots.slot if isinstance(slots, Palette) else palettes.slot
    return {name: given[name] if name in given else look_up(name) for name in names}


def slot_scale(kind: str) -> dict[str, Any]:
    """Returns the scale from slot to colour ("m"), text colour ("mt"), mark or dash.

    It never depends on the methods in a chart, so new methods need no new specification.
    """
    last = themes.var("t3")
    looks: dict[str, list[Any]] = {
        "m": [*(themes.var(f"m{slot}") for slot in range(len(palettes.SLOTS))), last],
        "mt": [*(themes.var(f"m{slot}t") for slot in range(len(palettes.SLOTS))), last],
        "mark": [*(slot.mark for slot in palettes.SLOTS), "circle"],
        "dash": [*(list(slot.dash) or [1, 0] for slot in palettes.SLOTS), [1, 0]],
    }
    return {"domain": [*range(palettes.OTHERS + 1)], "range": looks[kind]}
