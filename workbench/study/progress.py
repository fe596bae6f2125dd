"""Progress and cancelling, one callable for every long task."""

from __future__ import annotations

from typing import Any, Protocol


class Cancelled(Exception):
    """The user stopped the task; whatever was saved before stands."""


class Report(Protocol):
    """`report(done, total, note)` between chunks of work; raises `Cancelled` to stop the work."""

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None: ...


def silent(done: int, total: int, note: str = "", preview: Any = None) -> None:
    """A report that nobody reads."""


def part(report: Report, index: int, count: int) -> Report:
    """The share of `report` that belongs to task `index` of `count` equal ones."""

    def inner(done: int, total: int, note: str = "", preview: Any = None) -> None:
        report(index * total + done, count * total, note, preview)

    return inner
