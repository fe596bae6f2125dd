"""Runs that share a machine by turns: one computes at a time, so each has its own seconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from workbench.progress import Cancelled


class Turns:
    """Whose turn it is, and how long each run has computed.

    Args:
        names: the runs, in the order of their first turns.
        seconds: length of a turn.
    """

    def __init__(self, names: Sequence[str], seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.active = dict.fromkeys(names, 0.0)
        self._order = deque(names)
        self._ready = threading.Condition()
        self._began = time.perf_counter()
        self._halted = False

    def begin(self, name: str) -> None:
        """Waits for the run's first turn.

        Raises:
            Cancelled: all runs are to stop.
        """
        with self._ready:
            self._wait(name)

    def tick(self, name: str) -> None:
        """Called by the run between two updates: gives the turn on where it has lasted.

        Raises:
            Cancelled: all runs are to stop.
        """
        with self._ready:
            if self._halted:
                raise Cancelled
            if time.perf_counter() - self._began < self.seconds or len(self._order) < 2:
                return
            self._count(name)
            self._order.rotate(-1)
            self._ready.notify_all()
            self._wait(name)

    def leave(self, name: str) -> None:
        """The run has ended: the turn is another's."""
        with self._ready:
            if self._order and self._order[0] == name:
                self._count(name)
            if name in self._order:
                self._order.remove(name)
            self._began = time.perf_counter()
            self._ready.notify_all()

    def spent(self, name: str) -> float:
        """Seconds the run has computed so far; asked for by the run itself, in its turn."""
        with self._ready:
            return self.active[name] + time.perf_counter() - self._began

    def halt(self) -> None:
        """Ends every run at its next tick."""
        with self._ready:
            self._halted = True
            self._ready.notify_all()

    def _wait(self, name: str) -> None:
        self._ready.wait_for(lambda: self._halted or self._order[0] == name)
        if self._halted:
            raise Cancelled
        self._began = time.perf_counter()

    def _count(self, name: str) -> None:
        now = time.perf_counter()
        self.active[name] += now - self._began
        self._began = now
