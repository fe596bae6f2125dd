"""Sides of a comparison, each in a process of its own that takes its turn when it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from record import FOLDER, ROOT


class Worker:
    """A side in a process of its own that answers one line of JSON for each word it is sent."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, word: str) -> dict[str, Any]:
        """Sends a word and waits for what comes of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a side ended while it was asked to {word}")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """Ends the process."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def worker(script: str, side: Callable[..., Any], *arguments: Any) -> Iterator[Worker]:
    """A side, a generator function of a script here, started; it ends with the block."""
    name = side.__name__
    code = f"import sides, {script} as b; sides.serve(b.{name}, *{arguments_of(arguments)})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(),
    )
    found = Worker(process)
    try:
        yield found
    finally:
        found.close()


def arguments_of(arguments: tuple[Any, ...]) -> str:
    """Arguments as code."""
    return repr(tuple(str(one) if isinstance(one, Path) else one for one in arguments))


def apart(script: str, function: Callable[..., None], *arguments: Any) -> None:
    """Runs a function of a script here in a process of its own."""
    code = f"import {script} as b; b.{function.__name__}(*{arguments_of(arguments)})"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


def environment() -> dict[str, str]:
    """The variables of such a process: the scripts here and the packages can be imported."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), str(ROOT)])}


def serve(side: Callable[..., Any], *arguments: Any) -> None:
    """Answers words on standard input: each is a step of the side, in its order."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    steps = side(*arguments)
    for word in sys.stdin:
        found = next(steps) if word.strip() != "finish" else steps.send("finish")
        answers.write(json.dumps(found) + "\n")
        answers.flush()


class Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        import time

        self._now = lambda: (time.perf_counter(), time.process_time())
        self._start = self._now()

    def seconds(self) -> float:
        """Wall time [s]."""
        return self._now()[0] - self._start[0]

    def both(self) -> dict[str, float]:
        """Wall time, and processor time of all threads together [s]."""
        wall, processor = self._now()
        return {"seconds": wall - self._start[0], "processor": processor - self._start[1]}


class Memory:
    """High-water mark above what the process held when this was made."""

    def __init__(self) -> None:
        from workbench.measure import fresh_process

        self._read = fresh_process.lifetime_peak
        fresh_process.forget_peak()
        self._start = fresh_process.status_bytes("VmRSS") or self._read()

    def peak(self) -> int:
        """The mark so far [B]."""
        return self._read() - self._start
