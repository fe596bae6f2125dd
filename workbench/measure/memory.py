"""Memory: XLA's estimate, the device's own count, and the high-water mark of a fresh process.

Only the last is a fair comparison with another framework: both sides run in processes of their own,
and what importing them took is left out. XLA's figures are estimates and are named so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.measure import efficientllm, fresh_process
from workbench.measure.device import devices_in_use


class FreshProcessError(RuntimeError):
    """The measured process failed, was killed, or ran out of time; the message says which."""


@dataclass(frozen=True)
class MemoryEstimate:
    """What XLA plans to hold for one compiled function [B]: an estimate, not a measurement."""

    arguments: int
    outputs: int
    temporaries: int
    aliased: int
    code: int

    @property
    def total(self) -> int:
        """Arguments, outputs (those that reuse an argument once) and temporaries together."""
        return self.arguments + self.outputs + self.temporaries - self.aliased


@dataclass(frozen=True)
class PeakMemory:
    """Memory high-water mark of one function in a process of its own.

    Attributes:
        above_imports: the mark above what the process held after its imports [B].
        import_level: what it held after its imports [B].
        seconds: time of the call, compilation included [s].
        method: how it was read. A "difference of lifetime peaks" is too small, down to 0, where
            importing once took more than was left after it.
        result: what the function returned, if JSON can hold it.
        mean_above_imports: mean over the call's time of what it held above its imports [B]; None
            where the system does not tell.
    """

    above_imports: int
    import_level: int
    seconds: float
    method: str
    result: Any = None
    mean_above_imports: int | None = None

    def as_json(self) -> dict[str, Any]:
        """All of it in plain JSON types."""
        return asdict(self)


def estimate(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> MemoryEstimate | None:
    """XLA's plan for ``fn(*args, **kwargs)``: compiles, runs nothing, takes abstract arguments.

    Returns:
        None where the backend gives no plan.
    """
    import jax

    lowered = fn if hasattr(fn, "lower") else jax.jit(fn)
    return estimate_of(lowered.lower(*args, **kwargs).compile())


def estimate_of(compiled: Any) -> MemoryEstimate | None:
    """XLA's plan for a compiled function (``jax.jit(f).lower(x).compile()``)."""
    plan = compiled.memory_analysis()
    if plan is None:
        return None
    return MemoryEstimate(
        arguments=plan.argument_size_in_bytes,
        outputs=plan.output_size_in_bytes,
        temporaries=plan.temp_size_in_bytes,
        aliased=plan.alias_size_in_bytes,
        code=plan.generated_code_size_in_bytes,
    )


def device_peak(device: Any = None) -> int | None:
    """Highest memory in use on an accelerator since the process started [B]; None on CPU."""
    import jax

    stats = (jax.devices()[0] if device is None else device).memory_stats()
    return None if not stats else stats.get("peak_bytes_in_use")


class InUse:
    """Memory in use on an accelerator while work runs, asked every 5 ms::

    with InUse(device) as memory:
        work()
    memory.utilisation   # AMU: mean in use over what there is; None where the device tells nothing
    """

    def __init__(self, device: Any, period: float = 0.005) -> None:
        self._device, self._period = device, period
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="memory-in-use")
        self.used: list[float] = []
        self.times: list[float] = []
        self.capacity: float | None = None

    def __enter__(self) -> InUse:
        self.capacity = (self._device.memory_stats() or {}).get("bytes_limit")
        if self.capacity is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.capacity is not None:
            self._over.set()
            self._thread.join()

    def _follow(self) -> None:
        while True:
            last = self._over.is_set()
            self.times.append(time.perf_counter())
            self.used.append(float(self._device.memory_stats()["bytes_in_use"]))
            if last:
                return
            self._over.wait(self._period)

    @property
    def utilisation(self) -> float | None:
        """AMU of the time watched."""
        if self.capacity is None:
            return None
        return efficientllm.memory_utilisation(self.used, self.capacity, self.times)


def available_bytes(device: Any = None) -> int | None:
    """Memory that new work can take now [B]; None where the system does not tell.

    On CPU, and before jax computes, the machine's free and reclaimable memory, or what a
    container's limit leaves of it; on an accelerator its limit less what is in use.
    """
    in_use = devices_in_use() if device is None else [device]
    device = in_use[0] if in_use else None
    if device is None or device.platform == "cpu":
        import psutil

        machine, container = psutil.virtual_memory().available, container_available()
        return machine if container is None else min(machine, container)
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


# Where Linux tells a container's limit and use: control groups of version 2, then of version 1.
CONTROL_GROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def container_available(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's memory limit leaves [B]; None without a limit.

    Pages of files not lately read count as used there, and are given up before anything fails.
    """
    for names in CONTROL_GROUPS:
        try:
            limit, used, stat = ((cgroup / name).read_text(encoding="ascii") for name in names)
            pages = dict(line.split() for line in stat.splitlines())
            # Version 1 counts the groups below only under "total".
            idle = int(pages.get("total_inactive_file") or pages["inactive_file"])
            return max(0, int(limit) - int(used) + idle)
        except (OSError, ValueError, KeyError):  # "max" is no number: there is no limit
            continue
    return None


def peak_in_fresh_process(
    target: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    imports: Sequence[str] = (),
    timeout: float = 600.0,
    python: str | Path = sys.executable,
    paths: Sequence[str | Path] | None = None,
    env: Mapping[str, str] | None = None,
    reset: bool = True,
    report: Callable[..., None] | None = None,
) -> PeakMemory:
    """High-water mark of ``module:function`` above its import level, in a process of its own.

    Args:
        target: ``"package.module:function"``.
        args: positional arguments that JSON can hold.
        kwargs: keyword arguments that JSON can hold.
        imports: modules to import before the level is taken (what the function imports late).
        timeout: the process is ended after this long [s].
        python: interpreter, so that a peer can live in an environment of its own.
        paths: folders to import from; this process's own where ``python`` is this interpreter,
            else the current folder.
        env: environment variables to add.
        reset: read VmHWM after resetting it, where the system can; else the
            difference of lifetime peaks.
        report: called a few times a second as ``report(done, total, note)``, in seconds of
            ``timeout``; raising in it ends the process (a cancel button).

    Raises:
        ValueError: for a target that is not ``module:function``, a timeout that is not positive,
            or arguments JSON cannot hold.
        FreshProcessError: where the function raised (its message is passed on), the process was
            killed (out of memory, most likely), or time ran out.
    """
    module, _, function = target.partition(":")
    if not module or not function:
        raise ValueError(f'target is {target!r}; it must be "package.module:function"')
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout} s; it must be above 0")
    if paths is None:
        paths = [p for p in sys.path if p] if str(python) == sys.executable else []
    job = {
        "target": target,
        "args": list(args),
        "kwargs": dict(kwargs or {}),
        "imports": list(imports),
        "paths": [str(Path.cwd()), *(str(p) for p in paths)],
        "reset": reset,
    }
    try:
        text = json.dumps(job)
    except TypeError as error:
        raise ValueError(
            f"args and kwargs of {target} must be plain JSON values: {error}"
        ) from None

    with tempfile.TemporaryDirectory(prefix="peak-memory-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(text, encoding="utf-8")
        command = [str(python), str(Path(fresh_process.__file__).resolve()), name]
        with (folder / "stderr").open("wb") as errors:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
            try:
                _wait(child, target, timeout, report)
            finally:
                _end(child)
        return _read(folder, child, target)


def _wait(
    child: subprocess.Popen[bytes],
    target: str,
    timeout: float,
    report: Callable[..., None] | None,
) -> None:
    start = time.monotonic()
    while child.poll() is None:
        waited = time.monotonic() - start
        if waited > timeout:
            raise FreshProcessError(f"{target} was ended: it ran for more than {timeout:g} s")
        if report is not None:
            report(int(waited), int(timeout) + 1, f"measuring the memory of {target}")
        try:
            child.wait(min(0.2, timeout))
        except subprocess.TimeoutExpired:
            continue


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and whatever it started."""
    if child.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _read(folder: Path, child: subprocess.Popen[bytes], target: str) -> PeakMemory:
    written = folder / "answer.json"
    if not written.exists():
        tail = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-800:].strip()
        code = child.returncode
        if code == -9:  # SIGKILL, a name that Windows does not know
            raise FreshProcessError(f"{target} was killed by the system: most likely out of memory")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise FreshProcessError(f"{target} ended with {how} before it answered. {tail}")
    answer = json.loads(written.read_text(encoding="utf-8"))
    if "error" in answer:
        raise FreshProcessError(f"{target} failed: {answer['error']}\n{answer['traceback']}")
    mean = answer["mean"]
    return PeakMemory(
        mean_above_imports=None if mean is None else max(0, round(mean - answer["level"])),
        above_imports=max(0, answer["peak"] - answer["level"]),
        import_level=answer["level"],
        seconds=answer["seconds"],
        method=answer["method"],
        result=answer["result"],
    )
