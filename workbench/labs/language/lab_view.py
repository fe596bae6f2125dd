"""What every panel of this lab does alike: exports of its first chart, code that opens it again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

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


def waiting(words: str, **titles: str) -> dict[str, Content]:
    """One sentence under each title, in slots that have nothing to show yet."""
    return {slot: EmptyContent(title, words) for slot, title in titles.items()}


class LanguageView(View):
    """One panel of the language lab.

    Attributes:
        opener: the function of `workbench.labs.language` that opens it.
        waits: seconds that the copied code waits for the run.
    """

    opener: str
    waits: int = 600
    exports: Sequence[Export] = EXPORTS
    automatic = False

    def arguments(self) -> list[str]:
        """What the opener was given beside settings, as code."""
        return []

    def before(self) -> list[str]:
        """Imports and comments that these arguments need."""
        return []

    def code(self, values: Values) -> str:
        """Lines that open the same panel, run it, and show it."""
        settings = {
            group: knobs.model_dump(mode="json", exclude_defaults=True)
            for group, knobs in values.items()
        }
        chosen = pformat({group: fields for group, fields in settings.items() if fields}, width=80)
        call = ", ".join([*self.arguments(), f"settings={chosen}"])
        return "\n".join([
            *dict.fromkeys(["from workbench.labs import language", *self.before()]),
            "",
            f"panel = language.{self.opener}({call})",
            "panel.run()",
            f"panel.wait({self.waits})",
            "panel",
            "",
        ])  # fmt: skip

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Rows behind the picture beside its first chart's, by name, for the export."""
        return {}

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The first chart with its data, that chart alone, or its rows."""
        from workbench.figures import export

        if kind not in [entry.kind for entry in self.exports]:
            raise ValueError(f"There is no export of kind {kind!r}")
        chart = picture.first_chart
        if chart is None:
            raise ValueError("There is no picture yet; press Run first")
        settings = {group: knobs.model_dump(mode="json") for group, knobs in values.items()}
        name = self.opener.replace("_", "-")
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / f"{name}.{kind}"
            if kind == "zip":
                export.export_figure(chart, self.tables(values, picture), settings, file)
            else:
                export.write(chart, file)
            return file.name, file.read_bytes()
