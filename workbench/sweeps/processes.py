"""The executor of one machine: a process for each job, one at a time on each device."""

from __future__ import annotations

import os
import queue
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Slot:
    """Where one process runs.

    Attributes:
        environment: set in the process before anything is imported, such as the GPU it sees.
        cores: that it may use; any where there are none.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    cores: Sequence[int] = ()


_SLOT: ContextVar[Slot] = ContextVar("slot", default=Slot())  # noqa: B039  # frozen


def here() -> Slot:
    """The slot of the job that this thread looks after."""
    return _SLOT.get()


class Processes(Executor):
    """Jobs in spawned processes of this machine, one at a time on each GPU, or share of the cores.

    The processes are made by the jobs themselves; here are the threads that wait for them.

    Args:
        number: of processes at once; one for each GPU that jax can use where left out, one where
            it uses a TPU, and otherwise one for every two cores.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, number: int | None = None) -> None:
        if number is not None and number < 1:
            raise ValueError(f"number is {number!r}; give at least 1 process")
        slots = slots_here(number)
        self.number = len(slots)
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in slots:
            self._free.put(slot)
        self._threads = ThreadPoolExecutor(self.number, thread_name_prefix="sweep")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Calls `fn` in a thread that has a slot to itself."""
        return self._threads.submit(self._in_slot, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more jobs."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def _in_slot(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self._slot():
            return fn(*args, **kwargs)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        slot = self._free.get()
        before = _SLOT.set(slot)
        try:
            yield
        finally:
            _SLOT.reset(before)
            self._free.put(slot)


def slots_here(number: int | None = None) -> list[Slot]:
    """The slots of this machine: one a GPU, or the cores in equal shares. Starts no jax.

    Args:
        number: of slots; GPUs are shared where there are fewer.
    """
    boards = gpus()
    if boards:
        memory = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **_chosen()}
        chosen = [boards[place % len(boards)] for place in range(number or len(boards))]
        return [Slot({**memory, "CUDA_VISIBLE_DEVICES": board}) for board in chosen]
    if number is None and _is_wanted("tpu") and find_spec("libtpu"):
        return [Slot()]  # one process has all the chips of a host
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    count = number or max(1, (len(cores) or os.cpu_count() or 1) // 2)
    if count > len(cores):
        return [Slot() for _ in range(count)]
    return [
        Slot(cores=cores[place * len(cores) // count : (place + 1) * len(cores) // count])
        for place in range(count)
    ]


def gpus() -> list[str]:
    """NVIDIA GPUs that jax can use here, as `CUDA_VISIBLE_DEVICES` names them."""
    if not _is_wanted("cuda", "gpu"):
        return []
    if not any(find_spec(name) for name in ("jax_cuda13_plugin", "jax_cuda12_plugin")):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.split()


def _is_wanted(*platforms: str) -> bool:
    """Whether jax may use one of these platforms, as far as the user has chosen."""
    wanted = os.environ.get("JAX_PLATFORMS", "")
    return not wanted or bool(set(platforms) & set(wanted.split(",")))


def _chosen() -> dict[str, str]:
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    return {name: os.environ[name]} if name in os.environ else {}
