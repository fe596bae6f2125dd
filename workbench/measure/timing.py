"""Time: compilation apart, warm, interleaved so that drift hits every candidate alike."""

from __future__ import annotations

import gc
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.measure import intervals
from workbench.measure.cost import Cost
from workbench.progress import Report

if TYPE_CHECKING:
    import numpy as np

Thunk = Callable[[], Any]

MOST_CALLS_PER_SAMPLE = 10_000


@dataclass(frozen=True)
class Timing:
    """The raw repeats of one candidate and what they say.

    Attributes:
        name: the candidate.
        samples: wall time of one call in each round [s], in the order taken.
        cpu_samples: processor time of one call in each round, all threads together [s]; steadier
            than wall time where other programs share the machine.
        first_call: wall time of the very first call [s], compilation included.
        calls_per_sample: calls in one sample (their mean is the sample).
        conditions: threads, load and device while timing.
    """

    name: str
    samples: tuple[float, ...]
    cpu_samples: tuple[float, ...]
    first_call: float
    calls_per_sample: int = 1
    conditions: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median of the repeats [s]."""
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        """Fastest repeat [s]."""
        return min(self.samples)

    @property
    def high(self) -> float:
        """Slowest repeat [s]."""
        return max(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the repeats [s]."""
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        first, _, third = statistics.quantiles(self.samples, n=4, method="inclusive")
        return first, third

    @property
    def cpu_median(self) -> float:
        """Median processor time of one call, all threads together [s]."""
        return statistics.median(self.cpu_samples)

    @property
    def compile(self) -> float:
        """First call beyond a warm one [s]: tracing, compiling (or reading the compile cache)."""
        return max(0.0, self.first_call - self.median)

    def as_cost(self, **more: Any) -> Cost:
        """A measured :class:`Cost` with this timing; ``more`` fills its other fields."""
        return Cost(
            latency=self.median,
            latency_low=self.low,
            latency_high=self.high,
            compile=self.compile,
            basis="measured",
            **more,
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, raw repeats included, in plain JSON types."""
        first, third = self.quartiles
        summary = {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "compile": self.compile,
        }
        return {**asdict(self), **summary, "q1": first, "q3": third, "cpu_median": self.cpu_median}


def interleaved(
    thunks: Mapping[str, Thunk],
    *,
    repeats: int = 7,
    warmup: int = 1,
    min_time: float = 0.0,
    report: Report | None = None,
) -> dict[str, Timing]:
    """Times several candidates against each other, one call of each per round.

    The order is rotated and mirrored from round to round, so that neither drift of the machine nor
    what ran just before favours one of them. Each result is waited for (``block_until_ready``).

    Args:
        thunks: name → function of no arguments; jitted functions are compiled in their first call,
            which is kept apart. The same function under two names shows the noise (an A/A run).
        repeats: number of rounds, at least 2.
        warmup: untimed calls of each candidate after the first call.
        min_time: calls are repeated within one sample until it lasts about this long [s].
        report: called as ``report(done, total, note)`` before each sample; it stops the timing by
            raising, which is how a panel's cancel button reaches in here.

    Raises:
        ValueError: for no candidate, fewer than two repeats, a negative warmup or min_time.
    """
    _check(thunks, repeats, warmup, min_time)
    names = list(thunks)
    total, done = len(names) * (1 + warmup + repeats), 0

    def step(note: str) -> None:
        nonlocal done
        if report is not None:
            report(done, total, note)
        done += 1

    first_call: dict[str, float] = {}
    for name in names:
        step(f"compiling {name}")
        first_call[name], _ = _timed(thunks[name], 1)

    calls = dict.fromkeys(names, 1)
    for name in names:
        for _ in range(warmup):
            step(f"warming up {name}")
            wall, _ = _timed(thunks[name], 1)
            calls[name] = _calls_for(min_time, wall)
        if warmup == 0 and min_time > 0:
            calls[name] = _calls_for(min_time, first_call[name])

    load_before = load_average()
    wall_samples: dict[str, list[float]] = {name: [] for name in names}
    cpu_samples: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        for name in round_order(names, turn):
            step(f"timing {name}, round {turn + 1} of {repeats}")
            wall, cpu = _timed(thunks[name], calls[name])
            wall_samples[name].append(wall)
            cpu_samples[name].append(cpu)
    if report is not None:
        report(total, total, "timed")

    conditions = {**_conditions(), "load_before": load_before, "load_after": load_average()}
    return {
        name: Timing(
            name=name,
            samples=tuple(wall_samples[name]),
            cpu_samples=tuple(cpu_samples[name]),
            first_call=first_call[name],
            calls_per_sample=calls[name],
            conditions=conditions,
        )
        for name in names
    }


def round_order(names: Sequence[str], turn: int) -> list[str]:
    """Order of the candidates in round ``turn``: rotated each round, mirrored every other one."""
    shift = (turn // 2) % len(names)
    order = [*names[shift:], *names[:shift]]
    return order[::-1] if turn % 2 else order


def relative_noise(
    first: Sequence[float] | np.ndarray, again: Sequence[float] | np.ndarray
) -> float:
    """The noise floor: relative difference that equal work shows against itself (an A/A run).

    The end farther from 0 of the 95 % interval of the mean log ratio, paired by round, which is
    the statistic a speed-up is told by; below it nothing may be called faster. NaN for fewer than
    three rounds.

    Raises:
        ValueError: where the two have different numbers of rounds (they are paired by round).
    """
    if len(first) != len(again):
        raise ValueError(
            f"there are {len(first)} rounds and {len(again)} again; time both in one call of "
            "interleaved()"
        )
    floor = intervals.mean([math.log(b / a) for a, b in zip(first, again, strict=True)])
    return math.expm1(max(abs(floor.low), abs(floor.high)))


def load_average() -> float | None:
    """Mean number of runnable programs over the last minute, None where the system has no such."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _check(thunks: Mapping[str, Thunk], repeats: int, warmup: int, min_time: float) -> None:
    if not thunks:
        raise ValueError("thunks is empty; give at least one name and function to time")
    if repeats < 2:
        raise ValueError(f"repeats is {repeats}; at least 2 are needed to show a spread")
    if warmup < 0:
        raise ValueError(f"warmup is {warmup}; it must be 0 or more")
    if not min_time >= 0:
        raise ValueError(f"min_time is {min_time} s; it must be 0 or more")


def _calls_for(min_time: float, wall: float) -> int:
    wanted = math.ceil(min_time / max(wall, 1e-9))
    return min(max(1, wanted), MOST_CALLS_PER_SAMPLE)


def _timed(thunk: Thunk, calls: int) -> tuple[float, float]:
    """Wall and processor seconds of one call, the mean of ``calls`` waited for at the end."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu_start, start = time.process_time(), time.perf_counter()
        for _ in range(calls - 1):
            thunk()
        wait(thunk())
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    finally:
        if collecting:
            gc.enable()
    return wall / calls, cpu / calls


def wait(result: Any) -> None:
    """Until jax has computed what it promised; anything else is there already."""
    # A peer in another framework is timed without importing jax into its process.
    jax = sys.modules.get("jax")
    if jax is not None:
        jax.block_until_ready(result)


def _conditions() -> dict[str, Any]:
    from workbench.measure.device import threads_available

    found: dict[str, Any] = {"threads": threads_available()}
    jax = sys.modules.get("jax")
    if jax is not None:
        from workbench.measure.device import describe

        found["device"] = describe().label()
    return found
