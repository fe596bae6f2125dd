"""What this machine offers and what is missing: `python -m workbench doctor`."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from workbench import __version__, home, shipped

DISTRIBUTION = "efficiency-workbench"
DEVICES = Path("/dev")
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `needed` means the lab does not run without it."""

    topic: str
    text: str
    well: bool = True
    needed: bool = False

    def __str__(self) -> str:
        mark = "  " if self.well else ("! " if self.needed else "- ")
        return f"{mark}{self.topic:<14} {self.text}"


def gigabytes(count: float) -> str:
    """Bytes as GB with one decimal."""
    return f"{count / 1e9:.1f} GB"


def installed(package: str) -> str | None:
    """The version of `package`, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def requirements() -> list[Requirement]:
    """What the base install needs on this system, by its own metadata."""
    every = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    return [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]


def _versions() -> Iterator[Finding]:
    yield Finding("workbench", f"{__version__}, Python {platform.python_version()}")
    yield Finding("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    try:
        needed = requirements()
    except PackageNotFoundError:
        text = f"{DISTRIBUTION} is not installed, so what it needs is not known: pip install ."
        yield Finding("versions", text, well=False, needed=True)
        return
    found = {one.name: installed(one.name) for one in needed}
    yield Finding("versions", ", ".join(f"{name} {v}" for name, v in found.items() if v))
    absent = [name for name, v in found.items() if v is None]
    if absent:
        yield Finding("versions", f"missing: {', '.join(absent)}", well=False, needed=True)
    for one in needed:
        v = found[one.name]
        if v is not None and not one.specifier.contains(v, prereleases=True):
            text = f"{one.name} {v} is here; {one.specifier} is needed"
            yield Finding("versions", text, well=False, needed=True)


def _devices() -> Iterator[Finding]:
    try:
        import jax

        devices = jax.devices()
    except Exception as problem:  # a plugin that fails to start may raise anything
        yield Finding("devices", f"JAX does not start: {problem}", well=False, needed=True)
        return
    for device in devices:
        limit = (device.memory_stats() or {}).get("bytes_limit")
        memory = f", {gigabytes(limit)} usable" if limit else ""
        yield Finding("device", f"{device.platform}:{device.id} {device.device_kind}{memory}")
    if {device.platform for device in devices} == {"cpu"}:
        yield from _unused_devices()


def _unused_devices() -> Iterator[Finding]:
    """Where JAX computes on the CPU only: devices or plugins that lack the other half."""
    plugin = next((name for name in PLUGINS if installed(name)), None)
    if plugin:
        yield Finding("device", f"{plugin} is installed, and found no device", well=False)
        return
    if shutil.which("nvidia-smi"):
        line = "an NVIDIA driver is here; the extra cuda13 (or cuda12) lets JAX use it"
        yield Finding("device", line, well=False)
    if any(DEVICES.glob("accel*")):
        yield Finding("device", "a TPU is here; the extra tpu lets JAX use it", well=False)


def _memory() -> Iterator[Finding]:
    import psutil

    from workbench.measure.memory import container_available

    memory = psutil.virtual_memory()
    text = f"{gigabytes(memory.total)}, {gigabytes(memory.available)} available"
    left = container_available()
    if left is not None and left < memory.available:
        text += f"; the limit of this container leaves {gigabytes(left)}"
    yield Finding("memory", text)


def _folders() -> Iterator[Finding]:
    cache = home.compile_cache()
    files = [file for file in cache.rglob("*") if file.is_file()] if cache.is_dir() else []
    size = sum(file.stat().st_size for file in files)
    yield Finding("compile cache", f"{cache}: {gigabytes(size)} in {len(files)} files")
    place = next(parent for parent in (cache, *cache.parents) if parent.exists())
    if not os.access(place, os.W_OK):
        yield Finding("compile cache", f"{place} cannot be written", well=False)
    disk = shutil.disk_usage(place)
    yield Finding("disk", f"{gigabytes(disk.free)} free", well=disk.free > 1e9)
    for name in ("notebooks", "data"):
        there = (shipped.root() / name).is_dir()
        text = str(shipped.root() / name) if there else f"the shipped {name} are not there"
        yield Finding(name, text, well=there, needed=name == "notebooks")


def _energy() -> Iterator[Finding]:
    from workbench.measure import energy

    for topic, sensor in (("CPU energy", energy.find_rapl()), ("GPU energy", energy.find_board())):
        if isinstance(sensor, energy.Missing):
            yield Finding(topic, f"left empty: {sensor.reason}", well=False)
        else:
            yield Finding(topic, "readable")


def _screen() -> Iterator[Finding]:
    if find_spec("vl_convert") and find_spec("anywidget"):
        from workbench.launch import labextension

        there = labextension.fresh(Path(sys.prefix))
        text = "served by JupyterLab" if there else "each chart carries it until `lab` has run once"
        yield Finding("chart library", text, well=there)
    fonts = shutil.which("fc-list") is not None or sys.platform in ("win32", "darwin")
    if not fonts:
        text = "no fontconfig: PNG and PDF export may lack glyphs (Debian: fonts-dejavu-core)"
        yield Finding("fonts", text, well=False)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not (chromium and find_spec("playwright")):
        yield Finding("chromium", "not here; only `make test-browser` needs it", well=False)


def findings() -> Iterator[Finding]:
    """Every line of the report, in order."""
    for part in (_versions, _devices, _memory, _folders, _energy, _screen):
        yield from part()


def run() -> int:
    """Print the report; the exit status is 1 when something needed is missing."""
    status = 0
    for finding in findings():
        print(finding, flush=True)
        if finding.needed and not finding.well:
            status = 1
    return status
