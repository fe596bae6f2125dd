"""A panel that works on a table of runs: which one, and how it was given."""

from __future__ import annotations

from typing import Any

from workbench.labs.scaling.lab_view import ScalingView
from workbench.labs.scaling.runs_form import FILE, RUNS, Shelf, runs_knobs
from workbench.labs.scaling.tables import Table
from workbench.panels.view import Problem, Values


class TableView(ScalingView):
    """A view of runs.

    Args:
        table: a path, or a data frame; what ships without one.

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
        """The file, as code; a data frame has none."""
        if self.given is None:
            return []
        return [repr(str(self.given)) if self.shelf.file else "table"]


def unread(values: Values, fault: Exception) -> Problem:
    """Why a table cannot be used, at the field that names it."""
    name = "file" if runs_knobs(values).source == FILE else "source"
    return Problem("error", name, str(fault), RUNS)


def named(table: Table) -> str:
    """The study line of a table."""
    return f"{table.title} · {table.note}" if table.real else table.note
