"""Undo and redo of settings, and pins."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

State = dict[str, dict[str, Any]]


class History:
    """A line of settings; one drag of one slider is one entry.

    Changes of the same single field within `merge` seconds of each other are folded together.
    """

    def __init__(
        self,
        first: State,
        merge: float = 0.8,
        limit: int = 200,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._line = [first]
        self._at = 0
        self._merge, self._limit, self._clock = merge, limit, clock
        self._last: tuple[frozenset[tuple[str, str]], float] | None = None

    @property
    def can_undo(self) -> bool:
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        return self._at < len(self._line) - 1

    def record(self, state: State) -> None:
        """Append a state; what could be redone is forgotten."""
        touched = changed_fields(self._line[self._at], state)
        if not touched:
            return
        now = self._clock()
        same = self._last is not None and self._last[0] == touched and len(touched) == 1
        recent = self._last is not None and now - self._last[1] < self._merge
        if same and recent and self._at == len(self._line) - 1 and self._at > 0:
            self._line[self._at] = state
        else:
            self._line = [*self._line[: self._at + 1], state][-self._limit :]
            self._at = len(self._line) - 1
        self._last = (touched, now)

    def pause(self, really: bool = True) -> None:
        """What comes next is an entry of its own, however soon it comes."""
        self._last = None if really else self._last

    def undo(self) -> State:
        """The state before; the present one when there is none."""
        self._at = max(0, self._at - 1)
        self._last = None
        return self._line[self._at]

    def redo(self) -> State:
        """The state undone last."""
        self._at = min(len(self._line) - 1, self._at + 1)
        self._last = None
        return self._line[self._at]


def changed_fields(before: State, after: State) -> frozenset[tuple[str, str]]:
    """(group, field) of every value that differs."""
    return frozenset(
        (group, name)
        for group, values in after.items()
        for name, value in values.items()
        if before.get(group, {}).get(name) != value
    )
