"""The tables of the lab: every device and form, and what the compilers said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import numbers
from workbench.labs.kernels.charts import SLOTS
from workbench.labs.kernels.devices import HERE, Place, rate
from workbench.labs.kernels.work import Work
from workbench.panels.picture import Cell, Column, EmptyContent, TableContent

TITLE = "How long would it take?"


def times(work: Work, found: Sequence[Place]) -> TableContent:
    """A row for each device at best, and one for each form that was timed here."""
    rows: list[list[Cell | str]] = []
    keys = []
    for place in found:
        best = place.best
        rows.append([
            Cell(place.name, method=SLOTS[work.name]),
            place.form,
            Cell(numbers.seconds(best.seconds), basis="predicted"),
            _bound(place),
            Cell(numbers.number(rate(place.cost, best.seconds) / 1e9), basis="predicted"),
            "–",
        ])  # fmt: skip
        keys.append(place.key)
        for form, timing in place.timed.items():
            spread = f"{numbers.seconds(timing.low)}–{numbers.seconds(timing.high)}"
            share = best.seconds / timing.median
            note = "from cache" if share > 1 else ""
            rows.append([
                Cell(f"{place.name}, timed", method=SLOTS[work.name]),
                form,
                Cell(numbers.seconds(timing.median), note=spread, strong=True),
                "",
                Cell(numbers.number(rate(work.cost(form), timing.median) / 1e9), strong=True),
                Cell(numbers.percent(share), SLOTS[work.name], share=min(share, 1.0), note=note),
            ])  # fmt: skip
            keys.append(HERE)
    heads = (
        Column("Device"), Column("Form"), Column("Time", number=True),
        Column("Bound by", optional=True), Column("Gflop/s", number=True, optional=True),
        Column("Of the roof", number=True),
    )  # fmt: skip
    cost = work.cost("xla")
    moved, arithmetic = numbers.memory(cost.bytes_moved), numbers.count(2 * cost.macs)
    about = (
        f"{work.setting}: {arithmetic} flop and {moved} in the form of XLA, by the op’s formulas. "
        "Form: what “auto” runs there. Hollow: the bound of its arithmetic, and of its arrays "
        "moved once between main memory and the device; what fits in a cache can be faster."
    )
    return TableContent(heads, rows, TITLE, about, keys=keys)


def _bound(place: Place) -> str:
    words = {"compute": f"arithmetic ({place.dtype})", "memory": "memory", "launch": "launch"}
    return words[place.best.bound]


COMPILED = "What did the compilers make of it?"


def compiled(report: Mapping[str, Any], op: str, device: str) -> TableContent | EmptyContent:
    """What a device's compiler made of the op's kernels; every device's where it has none.

    Args:
        report: what `python -m kernels_pallas.report` wrote.
        device: the device's key in the form.
    """
    rows: list[list[Cell | str]] = []
    of_op = [one for one in report["results"] if one["op"] == op]
    if not of_op:
        return EmptyContent(COMPILED, "Nothing: this op has no kernel of its own.")
    there = [one for one in of_op if one["device"].lower().replace(" ", "-") == device]
    for one in there or of_op:
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
        Column("Kernel", wrap=True), Column("Device"),
        Column("Registers", number=True, optional=True), Column("Spills", number=True),
        Column("On-chip memory", number=True),
        Column("Matrix unit", optional=True), Column("Compiled in", number=True, optional=True),
    )  # fmt: skip
    by = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    about = f"Compiled, not run, by the devices’ own compilers: {by}."
    return TableContent(heads, rows, COMPILED, about)


def _most(kernels: Sequence[Mapping[str, Any]], field: str, join: Any) -> str:
    known = [kernel[field] for kernel in kernels if kernel[field] is not None]
    return str(join(known)) if known else "–"


def _memory(kernels: Sequence[Mapping[str, Any]]) -> str:
    known = [k for k in kernels if k["memory"]]  # 0 is a count of nothing
    if not known:
        return "not known"
    most = max(known, key=lambda kernel: kernel["memory"] / kernel["limit"])
    return f"{numbers.memory(most['memory'])} of {numbers.memory(most['limit'])}"
