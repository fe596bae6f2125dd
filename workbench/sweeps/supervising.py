"""What runs in an executor's worker: a process for one job, watched until it has ended.

The worker stays free to answer its scheduler, whatever the training does; and what the training
leaves behind, memory of the device included, goes with its process. The process is started as a
command and not by `multiprocessing`, which refuses inside the daemonic workers that Dask starts,
and which runs the user's script again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.home import compile_cache
from workbench.sweeps import owner
from workbench.sweeps.order import Order
from workbench.sweeps.processes import here
from workbench.sweeps.study import Study

STOPPED = 3
GONE = 75
TAIL = 2000

BEGIN = """
import json, sys
head = json.loads(sys.stdin.buffer.readline())
sys.path[:] = head["path"]
from workbench.sweeps.child import main
sys.exit(main(head))
"""


def supervise(order: Order) -> dict[str, Any]:
    """Does a job in a process of its own; what came of it is in the files of its runs.

    Returns:
        `code`: with which the process ended, negative for a signal; `tail`: its last output.
    """
    study = Study(order.study, order.store)
    while study.wish == "pause" and owner.drives(study.folder, order.token):
        time.sleep(0.2)
    if study.wish == "stop":
        return {"code": STOPPED, "tail": ""}
    if not owner.drives(study.folder, order.token):
        return {"code": GONE, "tail": ""}
    output = study.folder / "output" / f"{order.runs()[0].id}.txt"
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as file:
        start = file.tell()
        code = _run(order, file)
    return {"code": code, "tail": _tail(output, start)}


def _run(order: Order, output: Any) -> int:
    slot = here()
    head = {
        "order": order.as_json(),
        "size": len(order.function),
        "path": [*sys.path],
        "parent": os.getpid(),
        "cores": list(slot.cores),
    }
    child = subprocess.Popen(
        [sys.executable, "-c", BEGIN],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env={**_environment(), **slot.environment},
        start_new_session=True,
    )
    try:
        assert child.stdin is not None
        with suppress(BrokenPipeError):  # it ended before it had read all: the code says how
            child.stdin.write((json.dumps(head) + "\n").encode())
            child.stdin.write(order.function)
            child.stdin.close()
        return child.wait()
    finally:
        _end(child)


def _environment() -> dict[str, str]:
    """This process's, with compiled programs kept for the next job unless the user chose."""
    chosen = {
        "JAX_COMPILATION_CACHE_DIR": str(compile_cache()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**chosen, **os.environ}


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the process and whatever it started and left."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _tail(output: Path, start: int) -> str:
    with output.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL))
        return file.read().decode("utf-8", errors="replace").strip()
