"""The worker: one thread, latest request wins, cancelled between chunks, never prints."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from workbench.progress import Cancelled, Report

Job = Callable[[Report], Iterator[Any]]


@dataclass(frozen=True)
class Started:
    """The job left the queue."""


@dataclass(frozen=True)
class Progress:
    """`done` of `total` chunks; `seconds` since the job started."""

    done: int
    total: int
    note: str
    preview: Any
    seconds: float


@dataclass(frozen=True)
class Part:
    """The job yielded a result; more may follow."""

    result: Any


@dataclass(frozen=True)
class Done:
    """The job ended by itself; `result` is the last one it yielded."""

    result: Any
    seconds: float


@dataclass(frozen=True)
class Stopped:
    """The user stopped the job after `done` of `total` chunks."""

    done: int
    total: int
    seconds: float


@dataclass(frozen=True)
class Failed:
    """The job raised."""

    error: BaseException
    trace: str
    seconds: float


Event = Started | Progress | Part | Done | Stopped | Failed


@dataclass
class _Request:
    token: int
    job: Job
    tag: Any
    due: float


class Worker:
    """Runs the newest job in a daemon thread of its own, started with the first job.

    Events of a job that a newer one has replaced are dropped, so the listener never sees a late
    result. `listen(event, tag)` is called in the worker's thread; what it raises ends the job.
    """

    def __init__(self, listen: Callable[[Event, Any], None], name: str = "panel-worker"):
        self._listen = listen
        self._name = name
        self._ready = threading.Condition()
        self._token = 0
        self._stopped_token = -1
        self._request: _Request | None = None
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._ready:
            return self._busy or self._request is not None

    def submit(self, job: Job, tag: Any = None, delay: float = 0.0) -> int:
        """Replace whatever runs or waits by `job`, to start after `delay` seconds of quiet."""
        with self._ready:
            if self._closed:
                raise RuntimeError("The worker is closed")
            self._token += 1
            self._request = _Request(self._token, job, tag, time.monotonic() + delay)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._ready.notify_all()
            return self._token

    def drop(self) -> None:
        """Forget what runs or waits, silently."""
        with self._ready:
            self._token += 1
            self._request = None
            self._ready.notify_all()

    def stop(self) -> None:
        """End the running job at its next report, a waiting one now; the listener is told."""
        with self._ready:
            self._stopped_token = self._token
            waited, self._request = self._request, None
            self._ready.notify_all()
        if waited is not None:
            self._listen(Stopped(0, 0, 0.0), waited.tag)

    def close(self) -> None:
        """End the thread after the current chunk."""
        with self._ready:
            self._closed = True
            self._token += 1
            self._request = None
            self._ready.notify_all()

    def wait(self, timeout: float = 10.0) -> bool:
        """Block until nothing runs or waits; False when time ran out."""
        with self._ready:
            return self._ready.wait_for(lambda: not self._busy and self._request is None, timeout)

    def _loop(self) -> None:
        while True:
            request = self._next()
            if request is None:
                return
            self._run(request)
            with self._ready:
                self._busy = False
                self._ready.notify_all()

    def _next(self) -> _Request | None:
        with self._ready:
            while not self._closed:
                if self._request is None:
                    self._ready.wait()
                    continue
                left = self._request.due - time.monotonic()
                if left > 0:
                    self._ready.wait(left)
                    continue
                request, self._request = self._request, None
                self._busy = True
                return request
            return None

    def _run(self, request: _Request) -> None:
        begin = time.monotonic()
        reached = (0, 0)

        def current() -> bool:
            return request.token == self._token

        def halted() -> bool:
            return not current() or request.token == self._stopped_token

        def tell(event: Event) -> None:
            if current():
                self._listen(event, request.tag)

        def report(done: int, total: int, note: str = "", preview: Any = None) -> None:
            nonlocal reached
            if halted():
                raise Cancelled
            reached = (done, total)
            tell(Progress(done, total, note, preview, time.monotonic() - begin))

        result: Any = None
        try:
            tell(Started())
            for result in request.job(report):
                if halted():
                    raise Cancelled
                tell(Part(result))
            tell(Done(result, time.monotonic() - begin))
        except Cancelled:
            tell(Stopped(*reached, time.monotonic() - begin))
        except Exception as error:  # whatever a view raises belongs on the screen, not in a log
            tell(failure(error, time.monotonic() - begin))


def failure(error: BaseException, seconds: float = 0.0) -> Failed:
    """An exception as an event, with its traceback as text."""
    return Failed(error, "".join(traceback.format_exception(error)), seconds)
