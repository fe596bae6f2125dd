"""The tables of the lab: every device and form, and what the compilers said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import numbers
from workbench.labs.kernels.charts import SLOTS
from workbench.labs.kernels.devices import HERE, Place
from workbench.labs.kernels.work import Work
from workbench.panels.picture import Cell, Column, TableContent

TITLE = "How long would it take?"


def times(work: Work, found: Sequence[Place], forms: Mapping[str, str]) -> TableContent:
    """A row for each device at best, and one for each form that was timed here.

    Args:
        forms: the form that `implementation="auto"` takes, by device key.
    """
    rows: list[list[Cell | str]] = []
    keys = []
    for place in found:
        best = place.best
        rows.append([
            Cell(place.name, method=SLOTS[work.name]),
            forms.get(place.key, "–"),
            Cell(numbers.seconds(best.seconds), basis="predicted"),
            _bound(place),
            Cell(numbers.number(_rate(work, best.seconds)), basis="predicted"),
            "–",
        ])  # fmt: skip
        keys.append(place.key)
        for form, timing in place.timed.items():
            spread = f"{numbers.seconds(timing.low)}–{numbers.seconds(timing.high)}"
            share = best.seconds / timing.median
            rows.append([
                Cell(f"{place.name}, timed", method=SLOTS[work.name]),
                form,
                Cell(numbers.seconds(timing.median), note=spread, strong=True),
                "",
                Cell(numbers.number(_rate(work, timing.median)), strong=True),
                Cell(numbers.percent(share), share=min(share, 1.0), method=SLOTS[work.name]),
            ])  # fmt: skip
            keys.append(HERE)
    heads = (
        Column("Device"), Column("Form"), Column("Time", number=True), Column("Bound by"),
        Column("Gflop/s", number=True), Column("Of the roof", number=True),
    )  # fmt: skip
    moved, arithmetic = numbers.memory(work.cost.bytes_moved), numbers.count(2 * work.cost.macs)
    about = (
        f"{work.setting}: {arithmetic} flop and {moved} by the op’s formulas. "
        "Form: what “auto” runs there. Hollow: the roofline’s bound, which no program beats."
    )
    return TableContent(heads, rows, TITLE, about, keys=keys)


def _bound(place: Place) -> str:
    words = {"compute": f"arithmetic ({place.dtype})", "memory": "memory", "launch": "launch"}
    return words[place.best.bound]


def _rate(work: Work, seconds: float) -> float:
    return 2 * work.cost.macs / seconds / 1e9


def compiled(report: Mapping[str, Any], op: str) -> TableContent:
    """What the compilers of the devices made of the op's kernels.

    Args:
        report: what `python -m kernels_pallas.report` wrote.
    """
    rows: list[list[Cell | str]] = []
    for one in report["results"]:
        if one["op"] != op:
            continue
        kernels = one["kernels"]
        rows.append([
            f"{one['direction']} {one['model']}",
            one["device"],
            _most(kernels, "registers", max),
            _most(kernels, "spills", sum),
            _memory(kernels),
            ", ".join(sorted({kernel["instruction"] for kernel in kernels})),
            f"{one['seconds']:.1f} s",
        ])  # fmt: skip
    heads = (
        Column("Kernel"), Column("Device"), Column("Registers", number=True),
        Column("Spills", number=True), Column("On-chip memory", number=True),
        Column("Matrix unit"), Column("Compiled in", number=True, optional=True),
    )  # fmt: skip
    by = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    about = f"Compiled, not run, by the devices’ own compilers: {by}."
    return TableContent(heads, rows, "What did the compilers make of it?", about)


def _most(kernels: Sequence[Mapping[str, Any]], field: str, join: Any) -> str:
    known = [kernel[field] for kernel in kernels if kernel[field] is not None]
    return str(join(known)) if known else "–"


def _memory(kernels: Sequence[Mapping[str, Any]]) -> str:
    known = [k for k in kernels if k["memory"] is not None]
    if not known:
        return "–"
    most = max(known, key=lambda kernel: kernel["memory"] / kernel["limit"])
    return f"{numbers.memory(most['memory'])} of {numbers.memory(most['limit'])}"
