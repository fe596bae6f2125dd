"""One writer a run: a lease with an owner, a heartbeat, and a number that fences old owners out."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.runs.disk import read_json, write_json
from workbench.runs.mutex import mutex

SECONDS = 30.0  # a lease without a heartbeat for so long is taken over


class Busy(RuntimeError):
    """Another writer holds the run."""


class LeaseLost(RuntimeError):
    """The run was taken over by another writer; nothing more may be written here."""


class Lease:
    """The right to write into one folder.

    `lease.json` names owner and fence. Whoever takes a stale lease over raises the fence by one;
    every write happens inside `held`, which first compares the fence, so what a suspended writer
    wanted to write when it wakes is refused. All of it happens under a lock that the system itself
    releases.

    Args:
        folder: folder of the run; must exist.
        seconds: how long a lease outlives its last heartbeat.
        on_lost: called from the heartbeat thread when the lease is gone.
    """

    def __init__(
        self,
        folder: Path,
        seconds: float = SECONDS,
        on_lost: Callable[[], Any] | None = None,
    ) -> None:
        self.file = folder / "lease.json"
        self.lock = folder / "lock"
        self.seconds = seconds
        self.on_lost = on_lost
        self.token = secrets.token_hex(8)
        self.fence = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, wait: float | None = 0.0, unless: Callable[[], bool] = lambda: False) -> bool:
        """Takes the lease, and keeps it alive from a thread.

        Args:
            wait: seconds to wait for another holder; None waits for as long as it lives.
            unless: asked again and again; once true, there is no need for the lease any more.

        Returns:
            False where `unless` came true first.

        Raises:
            Busy: another writer still holds it.
        """
        deadline = None if wait is None else time.monotonic() + wait
        while True:
            with mutex(self.lock):
                if unless():
                    return False
                holder = read_json(self.file)
                if not alive(holder, self._age(), self.seconds):
                    self.fence = (holder or {}).get("fence", 0) + 1
                    write_json(self.file, self._record())
                    break
            if deadline is not None and time.monotonic() >= deadline:
                raise Busy(
                    f"{self.file.parent}: being written by process {holder['pid']} on "
                    f"{holder['host']}; wait for it, or stop it"
                )
            time.sleep(0.05)
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock of the folder, for one write of the rightful writer.

        Raises:
            LeaseLost: another writer has taken over, or the lease was given back.
        """
        with mutex(self.lock):
            self._must_be_mine()
            yield

    def give_back(self) -> None:
        """Lets the next writer in at once. Does nothing where the lease is already another's."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with suppress(LeaseLost), self.held():
            # Not removed, or the fences would start anew; not rewritten, which a full disk refuses.
            os.utime(self.file, (0, 0))
        self.token = ""

    def _beat(self) -> None:
        while not self._stop.wait(self.seconds / 4):
            try:
                with self.held():
                    os.utime(self.file)
            except LeaseLost:
                if self.on_lost is not None:
                    self.on_lost()
                return
            except (OSError, TimeoutError):
                continue  # a passing trouble of the file system; the next beat tries again

    def _must_be_mine(self) -> None:
        holder = read_json(self.file)
        if not self._is_mine(holder):
            fence = (holder or {}).get("fence", "none")
            raise LeaseLost(
                f"{self.file.parent}: taken over by another writer (fence {fence}, ours was "
                f"{self.fence}); this one must stop, and its writes are refused"
            )

    def _is_mine(self, holder: Any) -> bool:
        mine = (self.token, self.fence, os.getpid())
        return (
            bool(holder and self.token)
            and (holder["token"], holder["fence"], holder["pid"]) == mine
        )

    def _record(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "fence": self.fence,
            "token": self.token,
            "host": socket.gethostname(),
            "pid": pid,
            "started": started(pid),
            "taken": time.time(),
            "seconds": self.seconds,
        }

    def _age(self) -> float:
        return age(self.file, self.lock)


def age(file: Path, lock: Path) -> float:
    """Seconds since the last heartbeat, by the file system's own clock on both sides."""
    try:
        os.utime(lock)
        return lock.stat().st_mtime - file.stat().st_mtime
    except OSError:
        return 0.0


def alive(holder: Any, seconds_silent: float, seconds: float) -> bool:
    """Whether the writer named in a lease can still be at work."""
    if not holder or not holder.get("token"):
        return False
    if holder["host"] == socket.gethostname():
        begun = started(holder["pid"])
        if begun is None or (holder["started"] is not None and begun != holder["started"]):
            return False
    return seconds_silent < max(seconds, holder.get("seconds", seconds))


def started(pid: int) -> str | None:
    """A mark of the process that has this number now, so that a reused number is not mistaken.

    None where no such process lives. Where the system tells no start time, a constant.
    """
    if sys.platform == "linux":
        try:
            # A process may have any name; what counts comes after it.
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    if sys.platform == "win32":
        return "unknown"  # os.kill would end the process there; the heartbeat decides alone
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
