"""The thread of a job that looks whether it is still wanted, and ends it when it is not."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workbench.runs.worker import end
from workbench.sweeps import owner
from workbench.sweeps.study import Study

LOOK = 0.2
OWNER = 1.0
LINGER = 10.0


class Watch:
    """What is wished of this job, read again and again.

    The process ends at once when its parent is gone, or the driver of the study is; and `grace`
    seconds after a wish to stop.

    Args:
        study: that the job is part of.
        token: of the study's driver.
        parent: process that started this one.
        grace: seconds.
        overdue: called before the process ends because it did not stop by itself.
    """

    def __init__(
        self,
        study: Study,
        token: str,
        parent: int,
        grace: float,
        overdue: Callable[[], None] = lambda: None,
    ) -> None:
        self.study = study
        self.token = token
        self.parent = parent
        self.grace = grace
        self.overdue = overdue
        self.wish = study.wish
        self._asked: float | None = None
        self._looked = -OWNER
        self._over: float | None = None
        self._look()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    @property
    def folder(self) -> Path:
        """Of the study."""
        return self.study.folder

    def over(self) -> None:
        """The work is done, and its result may still be written, whoever is gone.

        A process that lingers for longer, for a thread that it left, is ended.
        """
        if self._over is None:
            self._over = time.monotonic()

    def _watch(self) -> None:
        while True:
            with suppress(OSError):  # a passing trouble of the file system; the next look follows
                self._look()
            time.sleep(LOOK)

    def _look(self) -> None:
        now = time.monotonic()
        if self._over is not None:
            if now - self._over > LINGER:
                end_all()
            return
        if os.getppid() != self.parent:
            end_all()
        if now - self._looked >= OWNER:
            self._looked = now
            if not owner.drives(self.folder, self.token):
                end_all()
        self.wish = self.study.wish
        if self.wish != "stop":
            self._asked = None
            return
        self._asked = now if self._asked is None else self._asked
        if now - self._asked > self.grace:
            try:
                self.overdue()
            finally:
                end_all()


def end_all() -> None:
    """Ends this process, and those that it started, without unwinding."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    end()
