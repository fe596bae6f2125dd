"""A short lock between processes, given back by the system when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.runs.disk import room_for


@contextmanager
def mutex(path: Path, patience: float = 20.0) -> Iterator[None]:
    """Holds the lock file `path` for a moment.

    Args:
        path: lock file; made where missing, never removed, so that all wait for the same one.
        patience: seconds to wait for another holder.

    Raises:
        TimeoutError: another process kept it all that time.
    """
    with room_for(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        deadline = time.monotonic() + patience
        pause = 0.001
        while not _take(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path}: another process has held this lock for {patience:g} s")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        try:
            yield
        finally:
            _give(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _give(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _give(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
