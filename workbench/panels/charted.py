"""Views whose picture is charts: one export menu, and their settings as code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from workbench.figures.chart import Chart
from workbench.panels.picture import Content, EmptyContent, Picture
from workbench.panels.view import Export, Values, View

EXPORTS = (
    Export("zip", "Figure and data", ".zip"),
    Export("svg", "Picture", ".svg"),
    Export("png", "Picture", ".png"),
    Export("pdf", "Picture", ".pdf"),
    Export("html", "Web page, works offline", ".html"),
    Export("csv", "Table", ".csv", behind=True),
)


def others(**labels: str) -> tuple[Export, ...]:
    """Menu lines for the charts beside the first one: slot and what it is called."""
    return tuple(
        Export(f"zip {slot}", f"{label}, with data", ".zip", behind=True)
        for slot, label in labels.items()
    )


def waiting(words: str, **titles: str) -> dict[str, Content]:
    """One sentence under each title, in slots that have nothing to show yet."""
    return {slot: EmptyContent(title, words) for slot, title in titles.items()}


def changed(values: Values) -> str:
    """The settings that are not the defaults, as code."""
    settings = {
        group: knobs.model_dump(mode="json", exclude_defaults=True)
        for group, knobs in values.items()
    }
    return pformat({group: fields for group, fields in settings.items() if fields}, width=80)


def chart_in(picture: Picture, slot: str) -> Chart | None:
    """The chart of a slot, or None."""
    return getattr(picture.contents.get(slot), "chart", None)


class ChartedView(View):
    """A view whose first chart leaves as a file, and the others with their data."""

    exports: Sequence[Export] = EXPORTS

    @property
    def file_name(self) -> str:
        """Of what is exported, without its ending."""
        raise NotImplementedError

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Rows behind the picture beside the chart's, by name, for the export."""
        return {}

    def records(self, values: Values) -> Mapping[str, Any]:
        """How the numbers came about, name to JSON values, for the export."""
        return {}

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """A chart with its data, the first chart alone, or its rows."""
        from workbench.figures import export

        if kind not in [entry.kind for entry in self.exports]:
            raise ValueError(f"There is no export of kind {kind!r}")
        ending, _, slot = kind.partition(" ")
        chart = chart_in(picture, slot) if slot else picture.first_chart
        if chart is None:
            raise ValueError("There is no picture yet; press Run first")
        settings = {group: knobs.model_dump(mode="json") for group, knobs in values.items()}
        name = f"{self.file_name}-{slot}" if slot else self.file_name
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / f"{name}.{ending}"
            if ending == "zip":
                tables, records = self.tables(values, picture), self.records(values)
                export.export_figure(chart, tables, settings, file, records=records)
            else:
                export.write(chart, file)
            return file.name, file.read_bytes()
