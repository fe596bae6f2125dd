"""What every panel of this lab does alike: exports with the fit's record, code that opens it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.labs.scaling.recorded import Recorded
from workbench.labs.scaling.tables import Table
from workbench.panels.charted import ChartedView, changed
from workbench.panels.picture import Picture
from workbench.panels.view import Export, Values
from workbench.scaling.result import Fit

RECORD = Export("json", "Record of the fit", ".json", behind=True)


class ScalingView(ChartedView):
    """One panel of the scaling lab.

    Attributes:
        opener: the function of `workbench.labs.scaling` that opens it.
    """

    opener: str
    automatic = True
    verb = "Fit"

    @property
    def file_name(self) -> str:
        """With the lab's name before the opener's."""
        return f"scaling-{self.opener.replace('_', '-')}"

    def arguments(self) -> list[str]:
        """What the opener was given beside settings, as code."""
        return []

    def code(self, values: Values) -> str:
        """Lines that open the same panel and show it."""
        call = ", ".join([*self.arguments(), f"settings={changed(values)}"])
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

    def about(self, values: Values) -> Mapping[str, Any]:
        """Where the fit's rows come from, for its record; empty where that is not known."""
        return {}

    def records(self, values: Values) -> Mapping[str, Any]:
        """The fit's record."""
        from workbench.scaling.record import as_json

        fit = self.fit_of(values)
        return {} if fit is None else {"fit": as_json(fit, self.about(values))}

    def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
        """The fit's record alone, or what every chart offers."""
        if kind != RECORD.kind or RECORD not in self.exports:
            return super().export(kind, values, picture)
        found = self.records(values)
        if not found:
            raise ValueError("There is no fit yet; press Run first")
        text = json.dumps(found["fit"], indent=1, allow_nan=False)
        return f"{self.file_name}.json", text.encode()


def recorded_as(picture: Picture, shipped: Recorded, table: Table) -> Picture:
    """A picture of a fit that ships; of simulated runs nothing was measured."""
    details = (*picture.details, *(() if table.real else (f"fitted {shipped.date}",)))
    when = shipped.date if table.real else ""
    return replace(picture, basis="recorded", when=when, device=shipped.device, details=details)
