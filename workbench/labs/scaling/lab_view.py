"""What every panel of this lab does alike: exports with the fit's record, code that opens it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from pprint import pformat
from typing import Any

from workbench.figures.chart import Chart
from workbench.labs.scaling.recorded import Recorded
from workbench.labs.scaling.tables import Table
from workbench.panels.picture import Content, EmptyContent, Picture
from workbench.panels.view import Export, Values, View
from workbench.scaling.result import Fit

EXPORTS = (
    Export("zip", "Figure and data", ".zip"),
    Export("svg", "Picture", ".svg"),
    Export("png", "Picture", ".png"),
    Export("pdf", "Picture", ".pdf"),
    Export("html", "Web page, works offline", ".html"),
    Export("csv", "Table", ".csv", behind=True),
)

RECORD = Export("json", "Record of the fit", ".json", behind=True)


def waiting(words: str, **titles: str) -> dict[str, Content]:
    """One sentence under each title, in slots that have nothing to show yet."""
    return {slot: EmptyContent(title, words) for slot, title in titles.items()}


def others(**labels: str) -> tuple[Export, ...]:
    """Menu lines for the charts beside the first one: slot and what it is called."""
    return tuple(
        Export(f"zip {slot}", f"{label}, with data", ".zip", behind=True)
        for slot, label in labels.items()
    )


class ScalingView(View):
    """One panel of the scaling lab.

    Attributes:
        opener: the function of `workbench.labs.scaling` that opens it.
    """

    opener: str
    exports: Sequence[Export] = EXPORTS
    automatic = True
    verb = "Fit"

    def arguments(self) -> list[str]:
        """What the opener was given beside settings, as code."""
        return []

    def code(self, values: Values) -> str:
        """Lines that open the same panel and show it."""
        settings = {
            group: knobs.model_dump(mode="json", exclude_defaults=True)
            for group, knobs in values.items()
        }
        chosen = pformat({group: fields for group, fields in settings.items() if fields}, width=80)
        call = ", ".join([*self.arguments(), f"settings={chosen}"])
        return "\n".join([
            "from workbench.labs import scaling",
            "",
            f"panel = scaling.{self.opener}({call})",
            "panel",
            "",
        ])  # fmt: skip

    def fit_of(self, values: Values) -> Fit | None:
        """The fit behind the picture; None where there is none."""
        return None

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Rows behind the picture beside the chart's, by name, for the export."""
        fit = self.fit_of(values)
        return {} if fit is None else {"runs": fit.runs}

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """A chart with its data and the fit's record, the first chart alone, or its rows."""
        from workbench.figures import export

        if kind not in [entry.kind for entry in self.exports]:
            raise ValueError(f"There is no export of kind {kind!r}")
        ending, _, slot = kind.partition(" ")
        name = "-".join(filter(None, ["scaling", self.opener.replace("_", "-"), slot]))
        fit = self.fit_of(values)
        if ending == "json":
            return f"{name}.json", _json(fit)
        chart = chart_in(picture, slot) if slot else picture.first_chart
        if chart is None:
            raise ValueError("There is no picture yet; press Run first")
        settings = {group: knobs.model_dump(mode="json") for group, knobs in values.items()}
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / f"{name}.{ending}"
            if ending == "zip":
                tables = self.tables(values, picture)
                export.export_figure(chart, tables, settings, file, records=_records(fit))
            else:
                export.write(chart, file)
            return file.name, file.read_bytes()


def chart_in(picture: Picture, slot: str) -> Chart | None:
    """The chart of a slot, or None."""
    return getattr(picture.contents.get(slot), "chart", None)


def recorded_as(picture: Picture, shipped: Recorded, table: Table) -> Picture:
    """A picture of a fit that ships; of simulated runs nothing was measured."""
    details = (*picture.details, *(() if table.real else (f"fitted {shipped.date}",)))
    when = shipped.date if table.real else ""
    return replace(picture, basis="recorded", when=when, device=shipped.device, details=details)


def named(table: Table) -> str:
    """The study line of a table."""
    return f"{table.title} · {table.note}" if table.real else table.note


def _records(fit: Fit | None) -> dict[str, Any]:
    from workbench.scaling.record import as_json

    return {} if fit is None else {"fit": as_json(fit)}


def _json(fit: Fit | None) -> bytes:
    import json

    from workbench.scaling.record import as_json

    if fit is None:
        raise ValueError("There is no fit yet; press Run first")
    return json.dumps(as_json(fit), indent=1, allow_nan=False).encode()
