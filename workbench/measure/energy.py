"""Energy, read from a sensor or not at all: RAPL on CPUs, NVML or nvidia-smi on NVIDIA GPUs.

Where no sensor can be read, the answer is ``None`` with the reason; nothing is ever estimated.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol

from workbench.measure.timing import wait

POWERCAP = Path("/sys/class/powercap")


class Sensor(Protocol):
    """Counts energy since it was made; must be read at least once every ``period`` seconds.

    Over ``stretch`` seconds it makes no more than a few per cent of difference where between two
    steps of the counter the work begins and ends.
    """

    source: str
    period: float
    stretch: float

    def read(self) -> float:
        """Energy since the sensor was made [J]."""


@dataclass(frozen=True)
class Missing:
    """Why there is no sensor."""

    reason: str
    stretch: ClassVar[float] = 0.5  # for what else is watched meanwhile


@dataclass(frozen=True)
class Energy:
    """Energy of a stretch of work; ``joules`` and ``power`` are None where nothing was read.

    Attributes:
        joules: energy of everything the sensor covers (the whole package or board, other programs
            on it included) [J].
        seconds: length of the stretch [s].
        source: the sensor, "" without one.
        reason: why there is no figure, "" where there is one.
    """

    joules: float | None
    seconds: float
    source: str = ""
    reason: str = ""

    @property
    def power(self) -> float | None:
        """Mean power [W]: the AEC of EfficientLLM."""
        return None if self.joules is None or self.seconds <= 0 else self.joules / self.seconds


class Rapl:
    """Running Average Power Limit counters: every package, and its memory where counted apart.

    Raises:
        OSError: where a counter cannot be read.
    """

    period = 30.0  # a counter wraps after about 262 kJ: minutes, not seconds
    stretch = 0.25  # the counter steps every millisecond

    def __init__(self, domains: list[Path]) -> None:
        self.source = "RAPL " + "+".join(_text(folder / "name") for folder in domains)
        self._domains = domains
        self._ranges = [int(_text(folder / "max_energy_range_uj")) for folder in domains]
        self._last = self._microjoules()
        self._total = 0

    def _microjoules(self) -> list[int]:
        return [int(_text(folder / "energy_uj")) for folder in self._domains]

    def read(self) -> float:
        now = self._microjoules()
        for before, after, size in zip(self._last, now, self._ranges, strict=True):
            self._total += after - before if after >= before else after - before + size
        self._last = now
        return self._total / 1e6


class Nvml:
    """The energy counter of NVIDIA boards (Volta and newer), through the ``pynvml`` module."""

    period = 60.0
    stretch = 2.0  # the counter steps every 20 to 100 ms, by board

    def __init__(self, nvml: Any, index: int) -> None:
        nvml.nvmlInit()
        self._nvml = nvml
        self._board = nvml.nvmlDeviceGetHandleByIndex(index)
        self._start = nvml.nvmlDeviceGetTotalEnergyConsumption(self._board)
        self.source = f"NVML board {index}"

    def read(self) -> float:
        return (self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._board) - self._start) / 1e3


class NvidiaSmi:
    """Board power asked of ``nvidia-smi`` twice a second and summed by the trapezoid rule."""

    period = 0.5
    stretch = 5.0  # ten samples; power is told as a mean over a second on some boards

    def __init__(self, ask: Callable[[], float], index: int) -> None:
        self._ask = ask
        self.source = f"nvidia-smi power of board {index}, sampled"
        self._when, self._power = time.perf_counter(), ask()
        self._total = 0.0

    def read(self) -> float:
        power, now = self._ask(), time.perf_counter()
        self._total += (power + self._power) / 2 * (now - self._when)
        self._when, self._power = now, power
        return self._total


def find(kind: str, *, index: int = 0, powercap: Path = POWERCAP) -> Any:
    """A sensor for the "CPU" or for "GPU" board ``index``, or :class:`Missing` with the reason."""
    if kind not in ("CPU", "GPU"):
        return Missing(f"there is no sensor for a {kind}")
    return find_rapl(powercap) if kind == "CPU" else find_board(index)


def find_rapl(powercap: Path = POWERCAP) -> Rapl | Missing:
    """The RAPL counters below ``powercap``, or why they cannot be used."""
    packages = sorted(powercap.glob("intel-rapl:*"))
    domains = []
    for folder in packages:
        name = _text(folder / "name") if (folder / "name").exists() else ""
        # "psys" and "core" are counted within or around a package: adding them counts twice.
        if name.startswith("package") or name == "dram":
            domains.append(folder)
    if not domains:
        return Missing(f"no RAPL energy counter under {powercap}")
    try:
        return Rapl(domains)
    except PermissionError:
        return Missing(
            f"the RAPL counters under {powercap} may only be read by the administrator "
            "(chmod a+r their energy_uj files to allow it)"
        )
    except (OSError, ValueError) as error:
        return Missing(f"the RAPL counters under {powercap} cannot be read: {error}")


def find_board(index: int = 0) -> Nvml | NvidiaSmi | Missing:
    """The energy counter of an NVIDIA board, else its power by nvidia-smi, else why neither."""
    reasons = []
    try:
        import pynvml

        return Nvml(pynvml, index)
    except ImportError:
        reasons.append("pynvml is not installed")
    except Exception as error:
        reasons.append(f"NVML: {error}")
    if shutil.which("nvidia-smi") is None:
        return Missing("; ".join([*reasons, "nvidia-smi was not found"]))
    try:
        return NvidiaSmi(lambda: _smi_power(index), index)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Missing("; ".join([*reasons, f"nvidia-smi: {error}"]))


class Meter:
    """Reads a sensor around a stretch of work::

    with Meter(find("CPU")) as meter:
        work()
    meter.energy.power   # W, or None; then meter.energy.reason says why
    """

    def __init__(self, sensor: Sensor | Missing) -> None:
        self._sensor = sensor
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._problem = ""
        self.energy = Energy(None, 0.0, reason="nothing has been measured yet")

    def __enter__(self) -> Meter:
        self._start = time.perf_counter()
        if isinstance(self._sensor, Missing):
            return self
        self._before = self._read()
        self._stop.clear()
        self._thread = threading.Thread(target=self._poll, daemon=True, name="energy-meter")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._sensor, Missing):
            seconds = time.perf_counter() - self._start
            self.energy = Energy(None, seconds, reason=self._sensor.reason)
            return
        after = self._read()
        seconds = time.perf_counter() - self._start
        self._stop.set()
        self._thread.join()
        if self._before is None or after is None:
            self.energy = Energy(None, seconds, self._sensor.source, self._problem)
        else:
            self.energy = Energy(after - self._before, seconds, self._sensor.source)

    def _read(self) -> float | None:
        assert not isinstance(self._sensor, Missing)
        with self._lock:
            if self._problem:
                return None
            try:
                return self._sensor.read()
            except Exception as error:
                # A sensor that fails in between must not end the work it watches.
                self._problem = f"{self._sensor.source} failed while measuring: {error}"
                return None

    def _poll(self) -> None:
        assert not isinstance(self._sensor, Missing)
        while not self._stop.wait(self._sensor.period):
            self._read()


def over_stretch(
    thunk: Callable[[], Any],
    sensor: Sensor | Missing,
    report: Callable[[float], None] | None = None,
) -> tuple[Energy, int]:
    """Energy of warm calls one after another, at least one, until the sensor's stretch is filled.

    Args:
        thunk: the work; each result is waited for.
        report: called before each call with the seconds so far; what it raises ends the stretch.

    Returns:
        The energy of the whole stretch and how many calls it holds.
    """
    calls, start = 0, time.perf_counter()
    with Meter(sensor) as meter:
        while calls == 0 or time.perf_counter() - start < sensor.stretch:
            if report is not None:
                report(time.perf_counter() - start)
            wait(thunk())
            calls += 1
    return meter.energy, calls


def _text(file: Path) -> str:
    return file.read_text(encoding="ascii").strip()


def _smi_power(index: int) -> float:
    command = [
        "nvidia-smi",
        f"--id={index}",
        "--query-gpu=power.draw",
        "--format=csv,noheader,nounits",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return float(answer.stdout.strip())
