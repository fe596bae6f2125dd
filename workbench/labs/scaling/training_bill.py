"""What a recommended run needs on a machine: devices, memory of each, days, price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.figures import numbers
from workbench.labs.scaling.decide_form import Machine, Placement
from workbench.labs.scaling.spending import Way
from workbench.measure.roofline import PEAKS
from workbench.panels.picture import Cell, Column, TableContent
from workbench.scaling.training_cost import Cluster, Cost, Decoder, shaped
from workbench.scaling.training_plan import Held, Layout, fewest, held, trained

MEMORY: Mapping[str, float] = {
    "h200": 141e9, "h100": 80e9, "rtx3090": 24e9, "tpu-v5e": 16e9, "tpu-v6e": 32e9,
}  # fmt: skip
"""Bytes of a device's memory, as their makers' data sheets name them."""

ASKED = "Does it fit, and what does it cost?"


@dataclass(frozen=True)
class Bill:
    """Of one run on so many devices.

    Attributes:
        devices: of which so many.
        held: bytes on each.
        cost: days, device hours, price.
        fits: whether a device's memory holds them.
    """

    devices: int
    held: Held
    cost: Cost
    fits: bool


@dataclass(frozen=True)
class Bills:
    """Of a recommended run: on the devices that are there, and on the fewest that hold it.

    Attributes:
        model: its guessed shape.
        memory: of a device, bytes.
        name: of the device.
        here: on the devices that are there; None where they make no replica.
        least: on the fewest; None where no number of them holds it.
        layout: how it lies.
        asked: devices that are there.
    """

    model: Decoder
    memory: float
    name: str
    here: Bill | None
    least: Bill | None
    layout: Layout
    asked: int

    @property
    def shape(self) -> str:
        """24 layers of 3 072."""
        plural = "s" if self.model.layers > 1 else ""
        return f"{self.model.layers} layer{plural} of {numbers.number(self.model.width, 6)}"

    @property
    def warning(self) -> str:
        """Why it cannot be trained so, with what would; empty where it can."""
        if self.here is None:
            if self.layout.tensor > 1:
                each = f"{self.layout.stages} stages of {self.layout.tensor} devices"
                return f"{each} each need {self.layout.devices} devices"
            return f"A pipeline of {self.layout.stages} stages needs as many devices"
        if self.here.fits:
            return ""
        need, room = (numbers.memory(value) for value in (self.here.held.total, self.memory))
        words = (
            f"Does not fit: {self.here.devices} × {self.name} would hold {need} each and have "
            f"{room}"
        )
        if self.least is not None and self.least.devices > self.here.devices:
            return f"{words}; {self.least.devices} would do"
        return (
            f"{words}; no number of them would: split more by ZeRO, recompute, lengthen the "
            "pipeline, or take fewer or shorter rows"
        )


def layout_of(machine: Machine, placed: Placement) -> Layout:
    """As the form asks."""
    return Layout(
        machine.state, int(placed.zero), placed.recompute, placed.rows,
        max(placed.batch, placed.rows), placed.stages, placed.interleaved, placed.tensor,
    )  # fmt: skip


def bills(way: Way, machine: Machine, placed: Placement) -> Bills:
    """Of a way to spend a budget."""
    model, layout = shaped(max(way.size, 1000.0), placed.length), layout_of(machine, placed)
    memory, name = MEMORY[str(machine.device)], PEAKS[str(machine.device)].name
    rate = PEAKS[str(machine.device)].flops_per_s["bfloat16"] * machine.share / 100

    def on(devices: int) -> Bill:
        replicas = min(devices // layout.devices, layout.most_replicas)
        found = held(model, way.size, layout, replicas)
        cost = trained(model, way.tokens, layout, Cluster(devices, rate, machine.price))
        return Bill(replicas * layout.devices, found, cost, found.total <= memory)

    enough = fewest(model, way.size, layout, memory)
    here = on(machine.devices) if machine.devices >= layout.devices else None
    return Bills(model, memory, name, here, None if enough is None else on(enough), layout,
                 machine.devices)  # fmt: skip


def table(found: Bills) -> TableContent:
    """Devices, memory of each, days and price: on those that are there, and on the fewest."""
    both = [bill for bill in (found.here, found.least) if bill is not None]
    if found.least is not None and found.here is not None:
        both = both[: 1 + (found.here.devices != found.least.devices)]
    heads = {id(found.here): "Here", id(found.least): "The fewest that hold it"}
    lines: Sequence[tuple[str, Sequence[str]]] = (
        ("Devices", [str(bill.devices) for bill in both]),
        ("State of each", [numbers.memory(bill.held.state) for bill in both]),
        ("Activations", [numbers.memory(bill.held.activations) for bill in both]),
        ("Gathered operator", [numbers.memory(bill.held.operator) for bill in both]),
        ("Together", [f"{numbers.memory(bill.held.total)} of {numbers.memory(found.memory)}"
                      for bill in both]),
        ("Time", [days(bill.cost.days) for bill in both]),
        ("Device hours", [numbers.number(bill.cost.device_hours) for bill in both]),
        ("Price", [money(bill.cost.price) for bill in both]),
    )  # fmt: skip
    rows: list[list[Cell | str]] = [
        [Cell(name, strong=name == "Together"), *(Cell(text, basis="predicted") for text in told)]
        for name, told in lines
    ]
    for place, bill in enumerate(both, start=1):
        rows[4][place] = Cell(
            lines[4][1][place - 1], strong=True, basis="predicted",
            verdict="reproduced" if bill.fits else "failed",
            note="fits" if bill.fits else "does not fit",
        )  # fmt: skip
    columns = [
        Column("For the least loss"),
        *(Column(heads[id(bill)], number=True) for bill in both),
    ]
    work = ""
    if found.here is not None and found.here.devices < found.asked:
        work = f" · of {found.asked} devices {found.here.devices} have work: rows a step are few"
    shared = f" of {found.layout.tensor} devices" if found.layout.tensor > 1 else ""
    about = (
        f"{found.shape}, guessed: 12 l h² = N with h = 128 l · {found.name} · ZeRO-"
        f"{found.layout.zero}, {'recomputing' if found.layout.recompute else 'nothing recomputed'}"
        f", {found.layout.stages} pipeline stage{'s' if found.layout.stages > 1 else ''}{shared} · "
        f"logits, buffers and fragmentation come on top{work}"
    )
    return TableContent(columns, rows, ASKED, about)


def days(value: float) -> str:
    """A time in the unit that people use: s, min, h, days, years."""
    if value < 2:
        return numbers.seconds(86_400 * value)
    if value > 730:
        return f"{numbers.number(value / 365)} years"
    return f"{numbers.number(value)} days"


def money(value: float) -> str:
    """Dollars: $ 1 234, $ 3.2 M."""
    return "–" if value == 0 else f"$ {numbers.count(value)}"
