"""A panel that works on a table of runs: which one, and how it was given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.labs.scaling.columns_form import corrected
from workbench.labs.scaling.lab_view import ScalingView
from workbench.labs.scaling.runs_form import FILE, GIVEN, MADE_UP, RUNS, Shelf, runs_knobs
from workbench.labs.scaling.tables import Table
from workbench.panels.view import Problem, Values

if TYPE_CHECKING:
    from workbench.sweeps import Study


class TableView(ScalingView):
    """A view of runs.

    Args:
        table: a path, a data frame, or a study; what ships without one.

    Raises:
        LogError, TypeError: a table that cannot be read.
    """

    def __init__(self, table: Any = None) -> None:
        self.shelf, self.given = Shelf(table), table
        self.study_line = named(self.shelf.first)

    def table(self, values: Values) -> Table:
        """The table that is chosen."""
        return self.shelf.table(runs_knobs(values))

    def arguments(self) -> list[str]:
        """The file or the study, as code; a data frame has none."""
        if self.given is None:
            return []
        if is_study(self.given):
            return [as_code(self.given)]
        return [repr(str(self.given)) if self.shelf.file else "table"]

    def source(self, values: Values) -> str:
        """The table that is chosen, as code."""
        knobs = runs_knobs(values)
        if knobs.source == FILE:
            return json.dumps(knobs.file.strip(), ensure_ascii=False)
        if knobs.source in self.shelf.studies:
            return as_code(self.shelf.studies[knobs.source])
        if knobs.source == GIVEN:
            return as_code(self.given) if is_study(self.given) else "table"
        return "scaling.tables.simulated().runs" if knobs.source == MADE_UP else ""

    def code(self, values: Values) -> str:
        """With the import of a study."""
        text = super().code(values)
        if not is_study(self.given):
            return text
        first, rest = text.split("\n", 1)
        return f"{first}\nfrom workbench.sweeps import Study\n{rest}"

    def remember(self, values: Values) -> None:
        """Keeps columns that were put right for the next table with this header."""
        from workbench.scaling.importing import remember

        table = self.table(values)
        if table.raw is not None and corrected(runs_knobs(values), table.raw):
            remember(table.raw, list(table.choices))


def unread(values: Values, fault: Exception) -> Problem:
    """Why a table cannot be used, at the field that names it."""
    name = "file" if runs_knobs(values).source == FILE else "source"
    return Problem("error", name, str(fault), RUNS)


def is_study(given: Any) -> bool:
    """Whether a table was given as a sweep."""
    from workbench.sweeps import Study

    return isinstance(given, Study)


def as_code(study: Study) -> str:
    """A study, as code that names it; its store where it is not the user's."""
    from workbench.runs import Store

    folder = study.store.folder
    where = "" if folder == Store().folder else f", {str(folder)!r}"
    return f"Study({study.name!r}{where})"


def named(table: Table) -> str:
    """The study line of a table."""
    return f"{table.title} · {table.note}" if table.real else table.note
