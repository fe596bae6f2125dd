"""Worker processes that do not outlive the one that started them."""

from __future__ import annotations

import os
import threading
import time

EXIT_CODE = 75  # "try again later" of sysexits.h: the work is unfinished, and can be resumed


def end_with_parent(parent: int | None = None, every: float = 0.5) -> threading.Thread:
    """Watches the parent process, and ends this one at once when the parent is gone.

    Nothing is lost by it: every write of a run survives a kill.

    Args:
        parent: process to watch; the parent by default. A worker should pass on the number its
            parent gave it, for the parent may be gone before the first look.
        every: seconds between two looks.
    """
    watched = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == watched:
            time.sleep(every)
        end()

    thread = threading.Thread(target=watch, name="end-with-parent", daemon=True)
    thread.start()
    return thread


def end() -> None:
    """Ends this process without unwinding; for a worker whose parent or lease is gone."""
    os._exit(EXIT_CODE)
