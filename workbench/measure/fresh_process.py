"""Runs one function in a process of its own and records its memory high-water mark.

This file is run by path, by whatever Python the peer needs, so it imports the standard library
only. :mod:`workbench.measure.memory` writes the job and reads the answer.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any


def status_bytes(key: str) -> int | None:
    """One memory line of ``/proc/self/status`` [B], None where the system has none."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def lifetime_peak() -> int:
    """Highest resident memory since the process started [B]."""
    own = status_bytes("VmHWM")
    if own is not None:
        return own
    # Last choice: on Linux it also covers what the parent held when it started this process.
    try:
        import resource
    except ImportError:
        raise OSError("this system tells no process its memory high-water mark") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> bool:
    """Sets the high-water mark back to what is resident now, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return status_bytes("VmHWM") is not None


class Watch:
    """Mean of resident memory over time, asked every 10 ms; None where the system does not tell."""

    def __init__(self) -> None:
        self.area, self.seconds = 0.0, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True, name="memory-watch")
        self.thread.start()

    def follow(self) -> None:
        resident, when = status_bytes("VmRSS"), time.perf_counter()
        while resident is not None:
            last = self.over.wait(0.01)
            now, before, began = time.perf_counter(), resident, when
            resident = status_bytes("VmRSS")
            when = now
            if resident is not None:
                self.area += (before + resident) / 2 * (now - began)
                self.seconds += now - began
            if last:
                return

    def mean(self) -> float | None:
        """Ends the watch."""
        self.over.set()
        self.thread.join()
        return self.area / self.seconds if self.seconds else None


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Imports the target, forgets what importing took, calls it, and tells what calling took."""
    module_name, _, function_name = job["target"].partition(":")
    function: Any = importlib.import_module(module_name)
    for part in function_name.split("."):
        function = getattr(function, part)
    for name in job["imports"]:
        importlib.import_module(name)
    gc.collect()

    fresh = job["reset"] and forget_peak()
    level = status_bytes("VmRSS") if fresh else lifetime_peak()
    watch = Watch() if fresh else None
    start = time.perf_counter()
    result = function(*job["args"], **job["kwargs"])
    seconds = time.perf_counter() - start
    mean = watch.mean() if watch else None
    peak = status_bytes("VmHWM") if fresh else lifetime_peak()
    method = "VmHWM after clear_refs" if fresh else "difference of lifetime peaks"
    answer = {"level": level, "peak": peak, "mean": mean, "seconds": seconds, "method": method}
    return {**answer, "result": result}


def main(folder: Path) -> int:
    """Reads ``job.json`` in ``folder`` and writes ``answer.json`` beside it."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    # The folder of this script holds names like `timing`; they must not hide other modules.
    sys.path[:1] = job["paths"]
    try:
        answer = run(job)
        text = json.dumps(answer)
    except BaseException as error:
        last = traceback.format_exception_only(type(error), error)[-1].strip()
        text = json.dumps({"error": last, "traceback": traceback.format_exc()})
    (folder / "answer.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
