"""Chart and tables of a waterline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, waterline
from workbench.labs.vision import machines
from workbench.labs.vision.beyond_peak import beyond_peak
from workbench.labs.vision.machines import Machine
from workbench.labs.vision.water_rows import SLOTS, Kernels, kind
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    EmptyContent,
    Figure,
    FiguresContent,
    TableContent,
)
from workbench.vision.efficiency.waterline import least_seconds

WATER = "Which kernels are under water?"
REACH = "What could it reach?"
EACH = "Does every layer take its least time?"
LAYERS = "What does each layer cost?"
ACROSS = {
    "operations": "Share of the operations",
    "time": "Share of the least time",
    "measured": "Share of the time measured alone",
}
ALONE, LEAST = "Measured alone", "Least time"


def water(name: str, kernels: Kernels, across: str) -> Chart:
    """The waterline of a network."""
    machine = kernels.machine
    cut = "each block one kernel" if kernels.fused else "each layer one kernel"
    if kernels.fused and across == "measured":
        cut += ", as wide as XLA takes for it unfused"
    return waterline(
        kernels.rows(across),
        level=machine.balance,
        level_name=f"{machine.name}: {numbers.number(machine.balance)} FLOP/B",
        across=ACROSS[across],
        title=WATER,
        subtitle=f"{name}, batch {kernels.batch}, {machine.dtype}, {cut} · blue: depth under the "
        "waterline, how many times slower than its arithmetic",
        slots=SLOTS,
    )


def reach(kernels: Kernels, found: Sequence[Machine]) -> TableContent:
    """Attainable efficiency of both ways on every device."""
    rows: list[list[Cell | str]] = []
    for machine in found:
        ways = [
            Kernels(kernels.layers, machine, kernels.batch, fused, kernels.tile).attainable()
            for fused in (False, True)
        ]
        rows.append([
            machine.name,
            numbers.number(machine.balance),
            *(Cell(numbers.percent(way), basis="predicted") for way in ways),
        ])  # fmt: skip
    heads = (
        Column("Device"), Column("FLOP/B", number=True, optional=True),
        Column("Layers", number=True), Column("Blocks", number=True),
    )  # fmt: skip
    about = (
        f"Highest efficiency by the waterline at batch {kernels.batch}, layer by layer and "
        "block-fused; what stays in a cache can do better. FLOP/B: peak over bandwidth."
    )
    return TableContent(heads, rows, REACH, about)


@dataclass(frozen=True)
class Measured:
    """A latency that was measured.

    Args:
        seconds, low, high: of the batch.
        efficiency: share of the device's peak.
        note: how it was measured.
    """

    seconds: float
    low: float
    high: float
    efficiency: float
    note: str


def figures(kernels: Kernels, measured: Measured | None) -> FiguresContent:
    """The device's rates, and what this network could and does reach."""
    machine, bars = kernels.machine, kernels.bars()
    serial, fused = (kernels.other(fused=way).attainable() for way in (False, True))
    operations = sum(bar.operations for bar in bars)
    found = [
        Figure("Peak", numbers.number(machine.peak / 1e12), "TFLOP/s", machine.peak_from,
               "recorded"),
        Figure("Bandwidth", numbers.number(machine.bandwidth / 1e9), "GB/s",
               machine.bandwidth_from, "recorded"),
        Figure("Ideal", *_time(operations / machine.peak), "operations / peak", "predicted"),
        Figure("Could reach", numbers.number(100 * serial), "%",
               f"fused {numbers.percent(fused)}", "predicted"),
    ]  # fmt: skip
    if measured is None:
        least = least_seconds(bars, machine.peak, machine.bandwidth)
        found.append(Figure("Least", *_time(least), "by the waterline", "predicted"))
    else:
        spread = f"{numbers.seconds(measured.low)} – {numbers.seconds(measured.high)}"
        same = measured.low == measured.high
        found += [
            Figure("Latency", *_time(measured.seconds), measured.note if same else spread),
            Figure("Efficiency", numbers.number(100 * measured.efficiency), "%", measured.note),
        ]
    return FiguresContent(found, "What do these numbers say?", f"Of a batch of {kernels.batch}")


def _time(seconds: float) -> tuple[str, str]:
    value, unit = numbers.seconds(seconds).rsplit(" ", 1)
    return value, unit


def each(kernels: Kernels, verb: str) -> Chart | EmptyContent:
    """Seconds of every layer: the least, and measured alone."""
    if kernels.machine.key != machines.HERE or not kernels.timed:
        text = (
            "Layers of this network at this batch are not timed yet."
            if kernels.machine.key == machines.HERE
            else "Layers are timed on this machine: choose it as the device."
        )
        return EmptyContent(EACH, text, verb if kernels.machine.key == machines.HERE else "")
    rows = []
    for number, bar in enumerate(kernels.other(fused=False).bars(), 1):
        least = bar.seconds(kernels.machine.peak, kernels.machine.bandwidth)
        rows.append({"method": LEAST, "layer": number, "ms": 1e3 * least, "predicted": True})
        timed = kernels.timed.get(bar.name)
        if timed is not None:
            rows.append({
                "method": ALONE, "layer": number, "ms": 1e3 * timed.median,
                "low": 1e3 * timed.low, "high": 1e3 * timed.high, "predicted": False,
            })  # fmt: skip
    return lines(
        rows,
        Axis("layer", "Layer, in the order they run"),
        Axis("ms", "Milliseconds of a batch", scale="log"),
        title=EACH,
        subtitle=f"Batch {kernels.batch} · hollow: least, by the waterline · filled: measured "
        "alone, band: all repeats; what stays in a cache can take less",
        slots={ALONE: 1, LEAST: 0},
        height=190,
    )


def table(kernels: Kernels) -> TableContent:
    """Every layer's arithmetic, intensity and times."""
    rows: list[list[Cell | str]] = []
    machine = kernels.machine
    bars = kernels.other(fused=False).bars()
    beyond = 0
    for layer, bar in zip(kernels.layers, bars, strict=True):
        timed = kernels.timed.get(layer.name) if machine.key == machines.HERE else None
        least = bar.seconds(machine.peak, machine.bandwidth)
        share = None if timed is None else bar.operations / timed.median / machine.peak
        beyond += share is not None and share > 1
        rows.append([
            Cell(layer.name, method=SLOTS[kind(layer)]),
            kind(layer),
            numbers.count(bar.operations),
            Cell(numbers.number(bar.intensity)),
            Cell(_slower(bar.slowdown(machine.balance))),
            Cell(numbers.seconds(least), basis="predicted"),
            "–" if timed is None else Cell(numbers.seconds(timed.median), strong=True),
            "–" if not share else numbers.percent(share),
        ])  # fmt: skip
    heads = (
        Column("Layer"), Column("Kind", optional=True), Column("FLOP", number=True),
        Column("FLOP/B", number=True), Column("Slower", number=True),
        Column("Least", number=True), Column("Alone", number=True),
        Column("Efficiency", number=True, optional=True),
    )  # fmt: skip
    about = (
        "Bytes: input, output and weights once each, with the residual a block's last layer adds, "
        "maps that are pooled, and the map a gate reads and writes. Batch norms are folded and "
        "activations are part of the layer before."
    )
    if beyond:
        layers = f"{beyond} layer{'s' * (beyond > 1)}"
        about += f" {beyond_peak([layers], machine)}."
    return TableContent(heads, rows, LAYERS, about)


def _slower(times: float) -> str:
    if times == float("inf"):
        return "memory alone"
    return "–" if times <= 1 else f"{numbers.number(times)} ×"


def as_content(shown: Chart | EmptyContent) -> Content:
    """A chart's content, or the words in its place."""
    return shown if isinstance(shown, EmptyContent) else ChartContent.of(shown)
