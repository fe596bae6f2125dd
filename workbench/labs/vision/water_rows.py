"""Kernels of a network on a device, as the waterline and its tables show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.labs.vision.machines import Machine
from workbench.vision.efficiency import fusion
from workbench.vision.efficiency.layer import Layer
from workbench.vision.efficiency.timed import Timed
from workbench.vision.efficiency.waterline import Bar, attainable

DEPTHWISE, GROUPED, DENSE = "Depthwise", "Grouped", "Dense, 3 × 3 and more"
POINTWISE, GATE, NORM, BLOCK = "1 × 1", "Gates", "Norms", "Fused block"
SLOTS: Mapping[str, int] = {
    POINTWISE: 1, DEPTHWISE: 2, BLOCK: 3, DENSE: 4, GROUPED: 5, GATE: 8, NORM: 9,
}  # fmt: skip
"""Colour of each kind of kernel."""


@dataclass(frozen=True)
class Kernels:
    """A network cut into kernels, for one batch on one device.

    Args:
        layers: of the network.
        machine: its device.
        batch: pictures.
        fused: whether a block is one kernel.
        tile: of a fused block's output; None for no halo.
        timed: seconds of a batch of a layer or a block alone, by its name.
    """

    layers: Sequence[Layer]
    machine: Machine
    batch: int
    fused: bool = False
    tile: int | None = None
    timed: Mapping[str, Timed] = field(default_factory=dict)

    def bars(self) -> list[Bar]:
        """The kernels in the order they run."""
        size = self.machine.itemsize
        if self.fused:
            return fusion.fused(self.layers, batch=self.batch, itemsize=size, tile=self.tile)
        return fusion.serial(self.layers, batch=self.batch, itemsize=size)

    def attainable(self) -> float:
        """The highest efficiency this way of running can have on the device."""
        return attainable(self.bars(), self.machine.balance)

    def other(self, *, fused: bool) -> Kernels:
        """The same network, cut the other way."""
        return Kernels(self.layers, self.machine, self.batch, fused, self.tile, self.timed)

    def rows(self, across: str) -> list[dict[str, Any]]:
        """A row for each kernel.

        Args:
            across: "operations", "time" or "measured", what its width is.
        """
        kinds = {layer.name: kind(layer) for layer in self.layers}
        peak, bandwidth = self.machine.peak, self.machine.bandwidth
        found = []
        for bar in self.bars():
            whole = len(bar.layers) > 1
            timed = self.timed.get(bar.name)
            widths = {
                "operations": bar.operations,
                "time": bar.seconds(peak, bandwidth),
                "measured": 0.0 if timed is None else timed.median,
            }
            found.append({
                "name": bar.name,
                "key": bar.name,
                "method": BLOCK if whole else kinds[bar.layers[0]],
                "intensity": bar.intensity,
                "width": widths[across],
                "seconds": widths["time"],
                "operations": bar.operations,
            })  # fmt: skip
        return found


def kind(layer: Layer) -> str:
    """What a layer is called in the chart."""
    if layer.kind == "gate":
        return GATE
    if layer.kind == "layer norm":
        return NORM
    if layer.kind == "dense" or layer.taps == 1:
        return POINTWISE
    if layer.group_size == 1:
        return DEPTHWISE
    channels = layer.inputs // max(layer.height * layer.width, 1)
    return GROUPED if layer.group_size < channels else DENSE


def timed_parts(rows: Iterable[Timed], network: str, batch: int) -> dict[str, Timed]:
    """Seconds of the layers and blocks of a network at a batch, by name."""
    return {
        row.name: row
        for row in rows
        if (row.network, row.batch) == (network, batch) and row.part != "network"
    }
