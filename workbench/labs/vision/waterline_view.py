"""The waterline of one network: where memory holds it back, layer by layer and block-fused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.labs.vision import claims, families, machines, water_shown
from workbench.labs.vision.form import (
    OWN,
    SHOWN,
    WATER,
    WATER_GROUPS,
    WATER_PRESETS,
    rates,
    tile,
)
from workbench.labs.vision.lab_view import VisionView
from workbench.labs.vision.machines import HERE, Machine, machine
from workbench.labs.vision.water_rows import Kernels, timed_parts
from workbench.measure.roofline import Peaks
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Hints, Problem, Slot, Values
from workbench.progress import Report, part
from workbench.vision.efficiency import counted, recorded
from workbench.vision.efficiency.layer import Layer
from workbench.vision.efficiency.timed import Part, Timed

if TYPE_CHECKING:
    from workbench.vision import ConvNet
    from workbench.vision.networks.config import NetworkConfig


def waterline(
    network: str | Path | NetworkConfig | ConvNet | None = None,
    *,
    size: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | str | None = None,
) -> Panel:
    """The panel of a waterline.

    Args:
        network: a name on the page, or yours: a table, a network, timm's folder or a hub name.
        size: pixels of yours; its own where none is given.
        settings: what "Copy settings" gave.

    Raises:
        ValueError: a name that is not known, or a size yours cannot read.
        CheckpointError: a folder without a network.
    """
    view = WaterlineView(network, size=size)
    if settings is None and network is not None:
        settings = {SHOWN: {"network": view.first, "device": HERE, "batch": 1}}
    return Panel(view, settings=settings)


class WaterlineView(VisionView):
    """One network's kernels under the waterline of a device, and its layers' times here.

    Args:
        network, size: see `waterline`.
    """

    title = "The waterline"
    study_line = "A roofline for every kernel of a network: which of them wait for memory"
    opener = "waterline"
    verb = "Time"
    groups = WATER_GROUPS
    presets = WATER_PRESETS
    exports = (*EXPORTS, *others(each="Seconds of every layer"))
    layout = (
        (Slot("water", "chart"),),
        (Slot("figures", "figures", folds=False),),
        (Slot("reach", "table", 1.0), Slot("each", "chart", 1.3)),
        (Slot("layers", "table", folded=True),),
    )

    def __init__(
        self,
        network: str | Path | NetworkConfig | ConvNet | None = None,
        *,
        size: int | None = None,
    ) -> None:
        self.rows: list[Timed] = []
        self.peaks: Peaks | None = None
        self.device = ""
        self.size = size
        self.given = network
        self.own: tuple[Layer, ...] = ()
        self.own_network: Any = None
        self.first = OWN
        if isinstance(network, str) and network in counted.names() and size is None:
            self.first, self.given = network, None
        elif network is not None:
            self.own_network = found_network(network)
            self.own = _counted(self.own_network, size)

    def arguments(self) -> list[str]:
        """The network, as it stands in the notebook."""
        if self.given is None:
            return []
        named = isinstance(self.given, str | Path)
        more = [] if self.size is None else [f"size={self.size}"]
        return [repr(str(self.given)) if named else "network", *more]

    def before(self) -> list[str]:
        """What a network that has no name stands for."""
        if self.given is None or isinstance(self.given, str | Path):
            return []
        return ["# network: your table or network"]

    def check(self, values: Values) -> list[Problem]:
        """A network that was not given; widths of layers that were not timed."""
        shown: Any = values[SHOWN]
        water: Any = values[WATER]
        if shown.network == OWN and not self.own:
            text = "No network was given: vision.waterline(yours) opens this page on it"
            return [Problem("error", "network", text, SHOWN)]
        if water.across != "measured" or (shown.device == HERE and self._timed(values)):
            return []
        text = "Not timed on this machine at this batch; least time is shown"
        return [Problem("warn", "across", text, WATER)]

    def hints(self, values: Values) -> Hints:
        """A network of one's own is offered where one was given."""
        return Hints(withheld={} if self.own else {f"{SHOWN}.network": [OWN]})

    def predict(self, values: Values) -> Picture:
        """All that is counted, and what was timed before."""
        return self._picture(values, measured=False)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """This machine's rates once, the network, then every layer alone."""
        from workbench.measure import device, roofline
        from workbench.vision import published as table
        from workbench.vision.latency import ready, time_networks, time_parts

        shown: Any = values[SHOWN]
        name, batch = shown.network, shown.batch
        report(0, 4, "Measuring this machine’s rates")
        self.peaks = roofline.measured("float32", report=part(report, 0, 4))
        self.device = device.label()
        report(1, 4, "Making the network")
        network = ready(self.own_network if name == OWN else table(name))
        pixels = self.size if name == OWN else counted.pixels()
        whole = time_networks(
            {name: network}, batch=batch, pixels=pixels, report=part(report, 1, 4)
        )
        self._keep(whole)
        yield self._picture(values, measured=True)
        kinds: tuple[Part, ...] = ("layer", "block")
        for place, kind in enumerate(kinds):
            told = part(report, 2 + place, 4)
            self._keep(
                time_parts(
                    name, network, part=kind, batch=batch, pixels=pixels, repeats=5, report=told
                )
            )
            yield self._picture(values, measured=True)

    def _keep(self, rows: Sequence[Timed]) -> None:
        """The newest of each stands first."""
        self.rows = [*rows, *self.rows]

    # -- pictures ---------------------------------------------------------------------------

    def _picture(self, values: Values, measured: bool) -> Picture:
        shown: Any = values[SHOWN]
        try:
            kernels = self._kernels(values)
        except ValueError as error:
            return Picture(
                {"water": EmptyContent(water_shown.WATER, str(error), self.verb)}, basis="predicted"
            )
        water: Any = values[WATER]
        across = "time" if water.across == "measured" and not kernels.timed else water.across
        contents: dict[str, Content] = {
            "water": ChartContent.of(water_shown.water(self._name(values), kernels, across)),
            "figures": water_shown.figures(kernels, self._measured(values, kernels)),
            "reach": water_shown.reach(kernels, machines.machines(self._here(values))),
            "each": water_shown.as_content(water_shown.each(kernels, self.verb)),
            "layers": water_shown.table(kernels),
        }
        card = claims.grouped(recorded.groups())
        found = recorded.latencies()
        if measured or (shown.device == HERE and self._fresh(values)):
            return Picture(
                contents, claim=card, basis="measured", device=self.device,
                details=self._details(values),
            )  # fmt: skip
        if kernels.timed and found is not None:
            return Picture(
                contents, claim=card, basis="recorded", device=str(found.card["device"]),
                when=str(found.card["date"]), details=self._details(values),
            )  # fmt: skip
        return Picture(contents, claim=card, basis="predicted", details=self._details(values))

    def _details(self, values: Values) -> tuple[str, ...]:
        """What the layers' times add up to, beside the network's own."""
        shown: Any = values[SHOWN]
        layers = self._timed(values)
        whole = self._whole(values)
        if shown.device != HERE or not layers or whole is None:
            return (f"counted at {self.size or counted.pixels()} pixels",)
        alone = sum(row.median for row in layers.values() if row.part == "layer")
        share = alone / whole.median
        return (f"layers alone add up to {100 * share:.0f} % of the network’s time",)

    def _name(self, values: Values) -> str:
        shown: Any = values[SHOWN]
        if shown.network != OWN:
            return families.name(shown.network)
        return str(getattr(self.own_network, "config", self.own_network).architecture)

    def _machine(self, values: Values) -> Machine:
        shown: Any = values[SHOWN]
        peak, bandwidth = rates(values)
        return machine(shown.device, peak=peak, bandwidth=bandwidth, here=self._here(values))

    def _fresh(self, values: Values) -> bool:
        """Whether this network was timed in this session at this batch."""
        shown: Any = values[SHOWN]
        return any((row.network, row.batch) == (shown.network, shown.batch) for row in self.rows)

    def _here(self, values: Values) -> Peaks | None:
        """The rates that belong to the times: those of this session, or those that ship."""
        shipped = recorded.latencies() is not None and not self._fresh(values)
        return None if shipped else self.peaks

    def _kernels(self, values: Values) -> Kernels:
        shown: Any = values[SHOWN]
        water: Any = values[WATER]
        return Kernels(
            self.own if shown.network == OWN else counted.layers(shown.network),
            self._machine(values),
            shown.batch,
            fused=water.kernels == "fused",
            tile=tile(values),
            timed=self._timed(values) if shown.device == HERE else {},
        )

    def _timed(self, values: Values) -> dict[str, Timed]:
        shown: Any = values[SHOWN]
        found = recorded.latencies()
        rows = self.rows if self._fresh(values) or found is None else found.rows
        return timed_parts(rows, shown.network, shown.batch)

    def _whole(self, values: Values) -> Timed | None:
        shown: Any = values[SHOWN]
        found = recorded.latencies()
        for row in [*self.rows, *(found.rows if found else [])]:
            if (row.network, row.batch, row.part) == (shown.network, shown.batch, "network"):
                return row
        return None

    def _measured(self, values: Values, kernels: Kernels) -> water_shown.Measured | None:
        whole = self._whole(values)
        if whole is None or kernels.machine.key != HERE:
            return None
        operations = sum(layer.operations(kernels.batch) for layer in kernels.layers)
        efficiency = operations / whole.median / kernels.machine.peak
        return water_shown.Measured(
            whole.median, whole.low, whole.high, efficiency, f"{whole.repeats} repeats"
        )

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Kernels as they are drawn."""
        return {"kernels": self._kernels(values).rows("time")}


def found_network(network: str | Path | NetworkConfig | ConvNet) -> Any:
    """A table or a network, read where it is a folder or a name.

    Raises:
        ValueError: a name that is neither known nor a folder nor the hub's.
        CheckpointError: a folder without a network.
    """
    if not isinstance(network, str | Path):
        return network
    from workbench import vision

    if Path(network).exists() or "/" in str(network):
        return vision.load(network)
    return vision.published(str(network))


def _counted(network: Any, size: int | None) -> tuple[Layer, ...]:
    from workbench.vision.efficiency.counting import layers_of

    return layers_of(network, size=size)


__all__ = ["WaterlineView", "found_network", "waterline"]
