"""What a view works out before it can answer, as a job of the panel's worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.panels.view import Values, View
from workbench.panels.worker import Job
from workbench.progress import Report


class Ready:
    """The job's one result: the view can be asked now."""


def preparation(view: View, values: Values) -> Job:
    """The job that prepares a view for settings."""

    def job(report: Report) -> Iterator[Any]:
        view.prepare(values, report)
        yield Ready()

    return job
