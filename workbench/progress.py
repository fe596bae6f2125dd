"""Progress and cancelling: one callable for every long task."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol


class Cancelled(Exception):
    """The user stopped the task; whatever was saved before stands."""


class Report(Protocol):
    """`report(done, total, note)` between chunks of work; what it raises stops the work."""

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None: ...


def silent(done: int, total: int, note: str = "", preview: Any = None) -> None:
    """A report that nobody reads."""


def part(report: Report, index: int, count: int) -> Report:
    """The share of `report` that belongs to task `index` of `count` equal ones."""

    def inner(done: int, total: int, note: str = "", preview: Any = None) -> None:
        report(index * total + done, count * total, note, preview)

    return inner


class Deadline:
    """A report that stops the work when its time is over.

    Args:
        minutes: from now; None for no end.
        report: passed on to.
    """

    def __init__(self, minutes: float | None, report: Report) -> None:
        self.end = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self.report = report

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None:
        self.report(done, total, note, preview)
        if time.monotonic() > self.end:
            raise Cancelled("the time given is over")


class Bar:
    """A tqdm bar in terminal or notebook, for plain use outside a panel."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Any = None

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None:
        if self.bar is None:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=total, desc=self.title, unit="step", initial=done)
        self.bar.update(done - self.bar.n)
        self.bar.set_postfix_str(note, refresh=False)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self.bar is not None:
            self.bar.close()


class Throttled:
    """Passes a report on at most once in `seconds`, and always the last one."""

    def __init__(self, report: Report, seconds: float = 0.05) -> None:
        self.report = report
        self.seconds = seconds
        self.next = 0.0

    def __call__(self, done: int, total: int, note: str = "", preview: Any = None) -> None:
        now = time.perf_counter()
        if now < self.next and done < total:
            return
        self.next = now + self.seconds
        if preview is None:  # a report of three arguments serves a task without previews
            self.report(done, total, note)
        else:
            self.report(done, total, note, preview)
