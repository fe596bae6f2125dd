"""The report as a page: a table of what was compiled, and what the devices have room for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kernels_pallas.report.compiling import Result
from kernels_pallas.report.devices import DEVICES

HEAD = ["op", "case", "device", "registers", "spills", "memory of limit", "instruction", "seconds"]

_ABOUT = """# Kernels compiled for devices that are not here

`make kernels-report` compiles every Pallas kernel for the devices below, with their own compilers
and without the devices, and writes this page. Nothing on it was run: it says that a kernel is
accepted, what it takes, and which matrix instruction it uses. Where a program calls more than one
kernel, registers and memory are those of the kernel that takes most; spills are added up. XLA does
not say how many registers a TPU kernel takes; what does not fit in them is part of its memory.

The memory of a TPU kernel is what its compiler counts for it: buffers for what comes from and goes
to main memory, and scratch. An array that XLA has put in VMEM before the kernel starts is not
counted. Where all of a kernel's arrays are there the count is 0: its memory is not known, and held
against no limit but the compiler's own, which refuses what does not fit."""


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table, one row a case and device."""
    return _table(HEAD, [_row(result) for result in results])


def page(results: Sequence[Result], versions: dict[str, str]) -> str:
    """The whole page.

    Args:
        results: in the order of the rows.
        versions: of the packages that compiled, by name.
    """
    devices = [
        [
            device.name,
            device.memory,
            _size(device.memory_limit),
            _size(device.memory_most),
            "–" if device.registers is None else str(device.registers),
            device.source,
        ]
        for device in DEVICES.values()
    ]
    limits = ["device", "memory", "of a kernel", "at most", "registers of a thread", "from"]
    by = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n\n".join(
        [_ABOUT, f"Compiled by {by}.", table(results), "## Limits", _table(limits, devices)]
    )


def _row(result: Result) -> list[str]:
    head = [result.op, f"{result.direction} {result.model}", result.device]
    if result.failure or not result.kernels:
        return [*head, "", "", "", result.failure[:80] or "no custom call", ""]
    largest = max(result.kernels, key=lambda kernel: (kernel.memory or 0) / kernel.limit)
    used = _size(largest.memory) if largest.memory else "not known"
    kinds = sorted({kernel.instruction for kernel in result.kernels} - {"none"})
    return [
        *head,
        _most([kernel.registers for kernel in result.kernels], max),
        _most([kernel.spills for kernel in result.kernels], sum),
        f"{used} of {_size(largest.limit)}",
        ", ".join(kinds) or "none",
        f"{result.seconds:.1f}",
    ]


def _most(counts: Sequence[int | None], join: Callable[[list[int]], int]) -> str:
    known = [count for count in counts if count is not None]
    return str(join(known)) if known else "–"


def _size(count: int) -> str:
    unit, name = (1 << 20, "MiB") if count >= 1 << 20 else (1 << 10, "KiB")
    # Rounded up: a kernel at its limit does not look as if it had room.
    return f"{math.ceil(10 * count / unit) / 10:g} {name}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
    )
