"""What the work runs on: device, cores, memory and versions, asked only when asked for."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Device:
    """The machine and the accelerator that jax uses on it.

    Attributes:
        kind: "CPU", "GPU" or "TPU".
        name: model of the processor or accelerator.
        count: number of jax devices.
        cores: processors of the machine.
        threads: processors this process may use.
        memory: bytes of the machine's memory (of the accelerator, where there is one).
        dtype: the float type in use.
        jax, jaxlib, python, system: versions.
    """

    kind: str
    name: str
    count: int
    cores: int
    threads: int
    memory: int | None
    dtype: str
    jax: str
    jaxlib: str
    python: str
    system: str

    def label(self) -> str:
        """One line for a chart or a card: ``"CPU, 2 cores · float32 · jax 0.10.2"``."""
        if self.kind == "CPU":
            what = f"CPU, {self.threads} core{'' if self.threads == 1 else 's'}"
        else:
            what = self.name if self.count == 1 else f"{self.count} × {self.name}"
        return f"{what} · {self.dtype} · jax {self.jax}"

    def as_json(self) -> dict[str, Any]:
        """All of it in plain JSON types, with the label."""
        return {**asdict(self), "label": self.label()}


def describe(dtype: str = "float32") -> Device:
    """The device jax computes on now. Starts jax's backend: call it when it is needed.

    Args:
        dtype: float type of the work, for the label.
    """
    import jax

    devices = jax.devices()
    first = devices[0]
    on_cpu = first.platform == "cpu"
    return Device(
        kind={"cpu": "CPU", "tpu": "TPU"}.get(first.platform, "GPU"),
        name=processor_name() if on_cpu else first.device_kind,
        count=len(devices),
        cores=os.cpu_count() or 1,
        threads=threads_available(),
        memory=machine_memory() if on_cpu else _accelerator_memory(first),
        dtype=dtype,
        jax=jax.__version__,
        jaxlib=importlib.metadata.version("jaxlib"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def devices_in_use() -> list[Any]:
    """The devices of a jax that computes; none before, for asking would start it.

    Another thread may be importing jax just now, so its modules are not taken for whole.
    """
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)
    devices = getattr(sys.modules.get("jax"), "devices", None)
    return devices() if started is not None and devices is not None and started() else []


def label(dtype: str = "float32") -> str:
    """One line naming the device, dtype and jax version; starts jax's backend."""
    return describe(dtype).label()


def threads_available() -> int:
    """Processors this process may use (its affinity, not the machine's count)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model name of the processor."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def machine_memory() -> int | None:
    """Bytes of the machine's main memory, None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _accelerator_memory(device: Any) -> int | None:
    stats = device.memory_stats() or {}
    return stats.get("bytes_limit")
