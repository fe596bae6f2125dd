"""Progress of a run: a bar in terminal and notebook, or whatever the caller passes."""

from __future__ import annotations

import time
from typing import Any, Protocol


class Report(Protocol):
    """Called with how much is done. What it raises stops the run, and the last checkpoint stays."""

    def __call__(self, done: int, total: int, note: str = "") -> Any: ...


class Bar:
    """A tqdm bar, for plain use outside a panel."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: Any = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
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

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.perf_counter()
        if now < self.next and done < total:
            return
        self.next = now + self.seconds
        self.report(done, total, note)
