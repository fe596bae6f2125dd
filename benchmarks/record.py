"""What every benchmark shares: its options, its JSON record, and the table it prints.

A record says what was run (command, commit), where (machine, versions, load), when, and holds the
raw repeats beside the figures drawn from them, so that every figure can be checked and made again.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
RESULTS = FOLDER / "results"
NOT_BENCHMARKS = (
    "record.py",
    "run.py",
    "readme_table.py",
    "device_time.py",
    "sides.py",
    "ternary_models.py",
    "tuned.py",
    "rates.py",
    "sources.py",
    "grouped_shapes.py",
    "triton_ahead.py",
)

for folder in (FOLDER, ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import sources  # noqa: E402

from workbench.measure import device  # noqa: E402  (found only with the lines above)
from workbench.measure.timing import Timing, load_average  # noqa: E402

PACKAGES = (
    "jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin", "flax", "numpy", "torch", "triton",
    "diffusers", "flash-linear-attention", "tokamax",
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure for the README.

    Attributes:
        name: what was measured, in words.
        value: the figure, in ``unit``.
        unit: SI unit, "" for a ratio.
        low, high: spread of the repeats, where there are repeats.
        basis: "measured" by a clock or sensor, "modelled" where it follows from shapes.
        at_most, at_least: the target, where there is one.
        published: the figure of a paper or a peer it is held against, with its source.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    basis: Literal["measured", "modelled"] = "measured"
    at_most: float | None = None
    at_least: float | None = None
    published: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None without one."""
        if self.at_most is None and self.at_least is None:
            return None
        low_enough = self.at_most is None or self.value <= self.at_most
        return low_enough and (self.at_least is None or self.value >= self.at_least)


@dataclass
class Benchmark:
    """One run of one benchmark script.

    Attributes:
        script: the script's ``__file__``.
        title: what it measures, in one line.
        tiny: whether this is the short form for CI, whose figures mean nothing.
        out: folder for the record; None writes none.
        threads: "one" where both sides have one core; it stands in each figure's name and in
            the record's file.
    """

    script: str
    title: str
    tiny: bool = False
    out: Path | None = None
    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    load_before: float | None = field(default_factory=load_average)
    threads: str = ""

    @classmethod
    def from_command(
        cls,
        script: str,
        title: str,
        *,
        more: Sequence[tuple[str, dict[str, Any]]] = (),
        arguments: Sequence[str] | None = None,
    ) -> tuple[Benchmark, argparse.Namespace]:
        """Reads ``--tiny``, ``--out`` and a benchmark's own options.

        Args:
            script: ``__file__`` of the benchmark.
            title: what it measures, in one line.
            more: (name, keywords) of its own options, as for ``add_argument``.
            arguments: the command line, that of the process when None.
        """
        parser = argparse.ArgumentParser(description=title)
        parser.add_argument("--tiny", action="store_true", help="short form, to see that it runs")
        parser.add_argument(
            "--out",
            type=Path,
            help="folder for the JSON record (benchmarks/results; none for --tiny)",
        )
        for name, keywords in more:
            parser.add_argument(name, **keywords)
        options = parser.parse_args(arguments)
        out = options.out if options.out or options.tiny else RESULTS
        threads = getattr(options, "threads", "")
        if threads == "one":
            one_core()
        return cls(script, title, tiny=options.tiny, out=out, threads=threads), options

    @property
    def name(self) -> str:
        """File name of the script without its ending."""
        return Path(self.script).stem

    def add(self, *figures: Figure) -> None:
        """Adds figures for the README."""
        word = ", one thread" if self.threads == "one" else ""
        self.figures += [replace(figure, name=figure.name + word) for figure in figures]

    def add_timings(self, timings: dict[str, Timing]) -> None:
        """Adds the raw repeats of timings."""
        self.raw.setdefault("timings", {}).update({k: t.as_json() for k, t in timings.items()})

    def record(self) -> dict[str, Any]:
        """The whole record in plain JSON types."""
        return {
            "benchmark": self.name,
            "title": self.title,
            "tiny": self.tiny,
            "command": command(self.script),
            "commit": commit(),
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "sources": sources.measured(self.script),
            "load": {"before": self.load_before, "after": load_average()},
            "figures": [{**asdict(figure), "met": figure.met} for figure in self.figures],
            "raw": self.raw,
        }

    def finish(self) -> Path | None:
        """Prints the figures and writes the record; its file, or None where none is written."""
        record = self.record()
        print(f"{self.title}{' (tiny form: the figures mean nothing)' if self.tiny else ''}")
        print(table(("", "value", "spread", "target", "published"), map(cells, self.figures)))
        return self.write(record)

    def write(self, record: dict[str, Any] | None = None) -> Path | None:
        """Writes the record so far, or the one given; its file, or None where none is written."""
        if self.out is None:
            return None
        record = record or self.record()
        self.out.mkdir(parents=True, exist_ok=True)
        word = "_one_thread" if self.threads == "one" else ""
        file = self.out / f"{self.name}{word}.json"
        part = file.with_suffix(".part")
        part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(file)
        return file


THREADS = ("--threads", {"choices": ("all", "one"), "default": "all", "help": "of both sides"})
"""An option of benchmarks beside a peer: every core for both, or one."""


def one_core() -> None:
    """Keeps this process on one core."""
    # jax counts the cores it may use when it is first imported: that comes later.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Of the GNU C library's `mallopt`."""


def keep_freed_memory() -> None:
    """What a call frees serves the next, on both sides: for calls that need some megabytes.

    Else the GNU C library may give the end of a heap back after every call, and the next call has
    its pages made anew: in one process and not in another, by what happens to lie there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**25)
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_TOP_PAD, 2**26)  # a thread's second heap is given back whole unless this is large


PARITY = ROOT / ".venv-parity" / "bin" / "python"


def ratio(name: str, ours: Sequence[float], peer: Sequence[float], **target: Any) -> Figure:
    """The median of the ratios of repeats that were taken by turns, with their quartiles.

    Args:
        name: of the figure.
        ours, peer: of each repeat.
        target: `at_most` or `at_least`.
    """
    import numpy as np

    each = [a / b for a, b in zip(ours, peer, strict=True)]
    low, middle, high = (float(q) for q in np.quantile(each, (0.25, 0.5, 0.75)))
    return Figure(name, middle, "×", low, high, **target)


def elsewhere(script: str) -> int | None:
    """Runs a script again where torch is, if it is not here: its exit status, or None to go on."""
    if find_spec("torch") is not None or not PARITY.exists() or Path(sys.executable) == PARITY:
        return None
    return subprocess.run([str(PARITY), script, *sys.argv[1:]], check=False).returncode


def cells(figure: Figure) -> tuple[str, ...]:
    """One row of the printed table and of the README's."""
    spread = ""
    if figure.low is not None and figure.high is not None:
        spread = f"{number(figure.low)} – {number(figure.high)}"
    target = ""
    if figure.met is not None:
        bound = f"≤ {number(figure.at_most)}" if figure.at_most is not None else ""
        if figure.at_least is not None:
            bound = f"{bound} ≥ {number(figure.at_least)}".strip()
        target = bound if figure.met else f"{bound} missed"
    value = f"{number(figure.value)} {figure.unit}".strip()
    modelled = " (counted)" if figure.basis == "modelled" else ""
    return figure.name, value + modelled, spread, target, figure.published


def number(value: float | None) -> str:
    """A figure to four digits, without an exponent where it is readable without."""
    if value is None:
        return ""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
        return digits.replace("-", "−")
    return f"{value:.3e}".replace("-", "−")


def table(header: Sequence[str], rows: Any) -> str:
    """A Markdown table, padded so that it also reads well in a terminal."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(lines[0]), rule, *(line(row) for row in lines[1:])])


PLACES = ("--out", "--folder")
"""Options that name a folder of this machine and change no figure."""


def command(script: str, arguments: Sequence[str] | None = None) -> str:
    """The command that makes the record again, without a path of this machine."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    kept = []
    while given:
        word, *given = given
        if word in PLACES:
            given = given[1:]
        elif not word.startswith(tuple(f"{place}=" for place in PLACES)):
            kept.append(word)
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *kept])


def commit() -> dict[str, Any]:
    """Commit of this checkout and whether files differ from it (records aside)."""
    try:
        found = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks")
    except (OSError, subprocess.CalledProcessError):
        return {"hash": None, "dirty": None}
    return {"hash": found, "dirty": bool(changed)}


def machine() -> dict[str, Any]:
    """Processor, memory, versions, and jax's device where the benchmark loaded jax."""
    with_jax = "jax" in sys.modules
    from kernels_pallas import processor  # which loads jax, and starts nothing

    found: dict[str, Any] = {
        "processor": device.processor_name(),
        "processor_model": processor.model(),
        "instructions": processor.instructions(),
        "cores": os.cpu_count(),
        "threads": device.threads_available(),
        "memory": device.machine_memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": _versions(),
    }
    if with_jax:
        found["device"] = device.describe().as_json()
    return found


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def scripts() -> list[Path]:
    """Every benchmark of this folder."""
    return sorted(file for file in FOLDER.glob("*.py") if file.name not in NOT_BENCHMARKS)
