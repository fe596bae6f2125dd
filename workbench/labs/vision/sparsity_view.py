"""Sparsity: measured beside modelled speed of a pruned layer, and what pruning costs a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.figures.numbers import number
from workbench.labs.vision import sparsity_claim
from workbench.labs.vision import sparsity_shown as shown
from workbench.labs.vision.lab_view import VisionView
from workbench.labs.vision.sparsity_form import GROUPS, PRESETS, asked, trained
from workbench.labs.vision.sparsity_recorded import Recorded, recorded
from workbench.measure.roofline import Peaks
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import Slot, Values
from workbench.progress import Report, part
from workbench.vision.pruning.density_timed import Accuracy, DensityTimed, NetworkTimed


def sparsity(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The panel of pruned layers and networks.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(SparsityView(), settings=settings)


class SparsityView(VisionView):
    """A layer from its kept blocks against the whole layer; a network pruned by each structure."""

    title = "Sparsity"
    study_line = "Fewer weights: how fast, measured and modelled, and how much accuracy is left"
    opener = "sparsity"
    verb = "Time and judge"
    groups = GROUPS
    presets = PRESETS
    exports = (*EXPORTS, *others(accuracy="Accuracy"))
    layout = (
        (Slot("speed", "chart", 1.2), Slot("accuracy", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("verdict", "table", folds=False),),
    )

    def __init__(self) -> None:
        self.timed: list[DensityTimed] = []
        self.networks: list[NetworkTimed] = []
        self.judged: list[Accuracy] = []
        self.peaks: Peaks | None = None
        self.device = ""

    def predict(self, values: Values) -> Picture:
        """What was measured before, else what ships."""
        return self._picture(values)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """This machine's rates, the layer at every density, its network, then accuracies."""
        from workbench.measure import device, roofline
        from workbench.vision.pruning.judging import accuracies
        from workbench.vision.pruning.timing import time_densities, time_network
        from workbench.vision.training.plan import PATCHES, data_of
        from workbench.vision.training.shelf import checkpoints

        layer, rows, block = asked(values)
        network, gradually = trained(values)
        report(0, 4, "Measuring this machine’s rates")
        self.peaks = roofline.measured("float32", report=part(report, 0, 4))
        self.device = device.label()
        found = time_densities(
            rows, layer.inputs, layer.outputs, block=block, report=part(report, 1, 4)
        )
        self.timed = [*found, *self.timed]
        yield self._picture(values)
        whole = time_network(
            layer.network,
            self.peaks,
            batch=rows // layer.pixels**2,
            block=block,
            report=part(report, 2, 4),
        )
        self.networks = [whole, *self.networks]
        yield self._picture(values)
        if not gradually and not any(row.network == network for row in self.judged):
            one = next((one for one in checkpoints() if one.name == network), None)
            if one is not None:
                data = data_of(PATCHES)
                self.judged += accuracies(
                    network,
                    one.load(),
                    data.test,
                    trained_on=data.train,
                    report=part(report, 3, 4),
                )
        yield self._picture(values)

    # -- pictures ---------------------------------------------------------------------------

    def _picture(self, values: Values) -> Picture:
        layer, rows, block = asked(values)
        network, gradually = trained(values)
        held = recorded()
        live = _of_layer(self.timed, rows, layer.inputs, layer.outputs, block)
        timed = live or _of_layer(held.timed, rows, layer.inputs, layer.outputs, block)
        judged, shipped = (
            [r for r in rows_of if r.network == network and bool(r.updates) == gradually]
            for rows_of in (self.judged, held.judged)
        )
        judged = judged or shipped
        networks = self.networks if live and self.networks else held.networks
        asked_for = (layer.network, rows // layer.pixels**2, block)
        whole = next((n for n in networks if (n.network, n.batch, n.block) == asked_for), None)
        peaks = self.peaks if live and self.peaks is not None else held.peaks
        where = self.device if live else held.where
        contents: dict[str, Content] = {
            "speed": ChartContent.of(shown.speed(layer, rows, block, timed, peaks, where)),
            "accuracy": ChartContent.of(shown.accuracy(judged))
            if judged
            else EmptyContent(shown.ACCURACY, "Judged on held-out patches.", self.verb),
            "figures": shown.figures(timed, whole)
            if timed
            else EmptyContent("One layer", "Not timed at this batch and block.", self.verb),
            "verdict": shown.table(layer, rows, block, timed, judged, peaks)
            if timed
            else EmptyContent(shown.VERDICT, "The layer is timed first.", self.verb),
        }
        rate, bandwidth = peaks.flops_per_s["float32"] / 1e9, peaks.bytes_per_s / 1e9
        details = (f"modelled by {number(rate)} GFLOP/s and {number(bandwidth)} GB/s",)
        claim = sparsity_claim.card([n for n in networks if n.block == 64 and n.batch == 8], where)
        if live:
            return Picture(contents, claim, "measured", details, device=self.device)
        if timed:
            return Picture(contents, claim, "recorded", details, when=held.date, device=held.device)
        return Picture(contents, claim, "predicted", details)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Times of every density, and the accuracies, measured or shipped."""
        held: Recorded = recorded()
        found = {
            "densities": self.timed or held.timed,
            "networks": self.networks or held.networks,
            "accuracies": self.judged or held.judged,
        }
        return {
            name: [dict(zip(one.COLUMNS, one.cells(), strict=True)) for one in rows]
            for name, rows in found.items()
        }


def _of_layer(
    timed: Sequence[DensityTimed], rows: int, inputs: int, outputs: int, block: int
) -> list[DensityTimed]:
    """Rows of one layer, blocks before rows, densest first; of two alike the newer one."""
    found: dict[tuple[str, float], DensityTimed] = {}
    for one in timed:
        if (one.rows, one.inputs, one.outputs, one.block) == (rows, inputs, outputs, block):
            found.setdefault((one.structure, round(one.density, 3)), one)
    return sorted(found.values(), key=lambda one: (one.structure, -one.density))


__all__ = ["SparsityView", "sparsity"]
