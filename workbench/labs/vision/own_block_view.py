"""A block of one's own beside those of ConvNeXt, ConvFirst and MBConv: cost, waterline and gap."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, gaps
from workbench.labs.vision import water_shown
from workbench.labs.vision.beyond_peak import beyond_peak
from workbench.labs.vision.form import SHOWN, WATER, rates, tile
from workbench.labs.vision.lab_view import VisionView
from workbench.labs.vision.machines import HERE, Machine, machine
from workbench.labs.vision.own_block_code import code_of
from workbench.labs.vision.own_block_form import GROUPS, PRESETS, place
from workbench.labs.vision.water_rows import Kernels
from workbench.measure.roofline import Peaks
from workbench.measure.timing import Timing
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    EmptyContent,
    Picture,
    TableContent,
)
from workbench.panels.settings import accepted, start
from workbench.panels.view import Hints, Problem, Slot, Values
from workbench.progress import Report, silent
from workbench.vision.own_block import BlockError, Counted, OwnBlock, block

RIVALS = ("ConvFirst", "MBConv", "ConvNeXt")
SLOTS = {"ConvFirst": 7, "MBConv": 5, "ConvNeXt": 4}
YOURS = 1
GROUP = 8
"""Channels of a group in two of the rivals."""
LEFT_OUT = "ConvFirst and MBConv are left out"
GAP = "What does it cost beside its rivals?"
COST = "How much work, and how much of the peak?"


def own_block(mine: Any, *, settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The page of a block of one's own.

    Args:
        mine: made by `workbench.vision.block`, or anything it can make one of.
        settings: what "Copy settings" gave.

    Raises:
        BlockError: no block.
    """
    view = OwnBlockView(mine)
    view.prepare(accepted(view, start(view, settings)), silent)  # nobody waits for an answer yet
    return Panel(view, settings=settings)


class OwnBlockView(VisionView):
    """What is counted at once, and what is timed on request.

    Args:
        mine: see `own_block`.
    """

    title = "Your own block"
    opener = "own_block"
    verb = "Time"
    groups = GROUPS
    presets = PRESETS
    exports = (*EXPORTS, *others(water="Waterline"))
    layout = (
        (Slot("gap", "chart", 1.0), Slot("water", "chart", 1.3)),
        (Slot("costs", "table", folds=False),),
        (Slot("layers", "table", folded=True),),
    )

    def __init__(self, mine: Any) -> None:
        self.mine: OwnBlock = block(mine)
        if self.mine.name in RIVALS:
            self.mine = replace(self.mine, name=f"{self.mine.name} (yours)")
        self.study_line = f"{self.mine.name}: its layers counted, timed beside three rivals"
        self.counted: dict[tuple[int, int], dict[str, tuple[Any, Counted]]] = {}
        self.refused: dict[tuple[int, int], str] = {}
        self.timed: dict[tuple[int, int, int], dict[str, Timing]] = {}
        self.peaks: Peaks | None = None
        self.device = ""

    def arguments(self) -> list[str]:
        """The block, as it stands in the notebook."""
        return [code_of(self.mine)[0]]

    def before(self) -> list[str]:
        """What the block needs."""
        return code_of(self.mine)[1]

    def check(self, values: Values) -> list[Problem]:
        """What is known without building a block: channels, widths, and what counting found."""
        water: Any = values[WATER]
        at = place(values)
        if self._where(values) in self.refused:
            return [Problem("error", "channels", self.refused[self._where(values)], SHOWN)]
        problems = []
        if at.channels % GROUP:
            text = f"{at.channels} channels make no groups of {GROUP}: {LEFT_OUT}"
            problems.append(Problem("warn", "channels", text, SHOWN))
        known = self.counted.get(self._where(values))
        if known is not None and known[self.mine.name][1].outside:
            found = known[self.mine.name][1]
            share = numbers.percent(found.outside / found.macs)
            text = f"{share} of its arithmetic is in no layer and stands in no bar"
            problems.append(Problem("warn", "channels", text, SHOWN))
        if water.across == "measured":
            text = "Blocks are timed whole; least time is shown"
            problems.append(Problem("warn", "across", text, WATER))
        return problems

    def unready(self, values: Values) -> str:
        """Blocks are built and traced, your code among them, which takes its time."""
        where = self._where(values)
        return "" if where in self.counted or where in self.refused else "Counting the layers"

    def prepare(self, values: Values, report: Report) -> None:
        """Counts the block and its rivals; one that cannot stand there is told by `check`."""
        report(0, 1, "Counting the layers")
        try:
            self._blocks(values)
        except BlockError as error:
            self.refused[self._where(values)] = str(error)

    def hints(self, values: Values) -> Hints:
        """No layer is timed alone here."""
        return Hints(withheld={f"{WATER}.across": ["measured"]})

    def predict(self, values: Values) -> Picture:
        """Everything counted, and times where they were taken."""
        return self._picture(values)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """This machine's rates once, then all blocks by turns."""
        from flax import nnx

        from workbench.measure import device, roofline
        from workbench.vision.folding import folded
        from workbench.vision.latency import time_blocks

        at = place(values)
        report(0, 1, "Measuring this machine’s rates")
        self.peaks = roofline.measured("float32", report=report)
        self.device = device.label()
        built = {
            name: folded(made) if isinstance(made, nnx.Module) else made
            for name, (made, _) in self._blocks(values).items()
        }
        shape = (at.batch, at.pixels, at.pixels, at.channels)
        self.timed[self._key(values)] = time_blocks(built, shape, report=report)
        yield self._picture(values)

    # -- pictures ---------------------------------------------------------------------------

    def _blocks(self, values: Values) -> dict[str, tuple[Any, Counted]]:
        """The block and its rivals, made and counted; kept by channels and pixels."""
        from workbench.vision.own_block import count

        key = self._where(values)
        if key not in self.counted:
            channels, pixels = key
            shape = (pixels, pixels, channels)
            found = {self.mine.name: count(self.mine, shape)}
            for name in RIVALS:
                with contextlib.suppress(BlockError):  # channels that groups of 8 do not divide
                    found[name] = count(_rival(name), shape)
            self.counted[key] = found
        return self.counted[key]

    def _where(self, values: Values) -> tuple[int, int]:
        at = place(values)
        return at.channels, at.pixels

    def _key(self, values: Values) -> tuple[int, int, int]:
        at = place(values)
        return at.channels, at.pixels, at.batch

    def _machine(self, values: Values) -> Machine:
        peak, bandwidth = rates(values)
        return machine(place(values).device, peak=peak, bandwidth=bandwidth, here=self.peaks)

    def _picture(self, values: Values) -> Picture:
        water: Any = values[WATER]
        if self.unready(values):
            self.prepare(values, silent)
        try:
            device = self._machine(values)
        except ValueError as error:
            return Picture({"gap": EmptyContent(GAP, str(error), self.verb)}, basis="predicted")
        if self._where(values) in self.refused:
            told = EmptyContent(GAP, self.refused[self._where(values)])
            return Picture({"gap": told}, basis="predicted")
        kernels = {
            name: Kernels(
                found.layers, device, place(values).batch, water.kernels == "fused", tile(values)
            )
            for name, (_, found) in self._blocks(values).items()
            if found.layers
        }
        mine = kernels.get(self.mine.name)
        across = "time" if water.across == "measured" else water.across
        contents: dict[str, Content] = {
            "gap": ChartContent.of(self._chart(values, device)),
            "costs": self._costs(values, kernels),
        }
        if mine is None:
            text = "It calls no layer of workbench.vision, so its kernels are not known."
            contents["water"] = EmptyContent(water_shown.WATER, text)
        else:
            contents["water"] = ChartContent.of(water_shown.water(self.mine.name, mine, across))
            contents["layers"] = water_shown.table(mine)
        measured = self._key(values) in self.timed
        return Picture(
            contents,
            basis="measured" if measured else "predicted",
            device=self.device if measured else "",
            details=(f"{place(values).pixels} px, {place(values).channels} channels",),
        )

    def _slots(self) -> dict[str, int]:
        return {**SLOTS, self.mine.name: YOURS}

    def _chart(self, values: Values, device: Machine) -> Chart:
        batch = place(values).batch
        timed = self.timed.get(self._key(values), {}) if device.key == HERE else {}
        rows, beyond = [], []
        for name, (_, found) in self._blocks(values).items():
            operations = 2 * found.macs * batch
            if not operations:
                continue
            one = timed.get(name)
            told = [name, f"{numbers.number(operations / 1e9)} GFLOP a batch"]
            if one is not None:
                share = operations / one.median / device.peak
                beyond += [name] * (share > 1)
                told += [numbers.seconds(one.median), f"efficiency {numbers.percent(share)}"]
            rows.append({
                "method": name, "trial_id": name, "gflop": operations / 1e9,
                "ideal": 1e3 * operations / device.peak,
                "ms": None if one is None else 1e3 * one.median,
                "low": None if one is None else 1e3 * one.low,
                "high": None if one is None else 1e3 * one.high,
                "told": " · ".join([*told, f"batch {batch}", device.dtype]),
            })  # fmt: skip
        return gaps(
            rows,
            Axis("ms", f"Milliseconds of a batch of {batch}", scale="log"),
            Axis("gflop", "Operations (GFLOP)", scale="log"),
            title=GAP,
            subtitle=f"{device.name}, {device.dtype} · hollow: operations / peak · filled: timed "
            f"here, all by turns{' · ' * bool(beyond)}{beyond_peak(beyond, device)}",
            current=self.mine.name,
            slots=self._slots(),
            height=230,
        )

    def _costs(self, values: Values, kernels: Mapping[str, Kernels]) -> TableContent:
        timed = self.timed.get(self._key(values), {})
        here = self._machine(values)
        rows: list[list[Cell | str]] = []
        for name, (_, found) in self._blocks(values).items():
            ways = ["–", "–"]
            if name in kernels:
                ways = [
                    numbers.percent(kernels[name].other(fused=fused).attainable())
                    for fused in (False, True)
                ]
            one = timed.get(name)
            operations = 2 * found.macs * place(values).batch
            share = None
            if one is not None and here.key == HERE:
                share = operations / one.median / here.peak
            rows.append([
                Cell(name, method=self._slots()[name], strong=name == self.mine.name),
                numbers.count(found.macs),
                numbers.count(sum(layer.weights for layer in found.layers)),
                *(Cell(way, basis="predicted") for way in ways),
                "–" if one is None else Cell(
                    numbers.seconds(one.median), strong=True,
                    note=f"{numbers.seconds(one.low)}–{numbers.seconds(one.high)}",
                ),
                "–" if share is None else Cell(numbers.percent(share), strong=True),
            ])  # fmt: skip
        heads = (
            Column("Block"), Column("MAC", number=True), Column("Weights", number=True),
            Column("Layers", number=True), Column("Fused", number=True),
            Column("Time", number=True), Column("Efficiency", number=True),
        )  # fmt: skip
        about = (
            f"MAC of one picture. Layers and Fused: the highest efficiency on {here.name} by the "
            "waterline, layer by layer and as one kernel. Rivals: expansion 4, groups of 8 "
            "(ConvFirst, MBConv), 7 × 7 depthwise (ConvNeXt)."
        )
        return TableContent(heads, rows, COST, about)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The blocks as they are drawn."""
        return {"blocks": list(self._chart(values, self._machine(values)).source)}


def _rival(name: str) -> OwnBlock:
    from workbench.vision.blocks.conv_first import ConvFirstRow
    from workbench.vision.blocks.convnext import ConvNeXtRow
    from workbench.vision.blocks.inverted_residual import InvertedResidualRow

    rows: dict[str, Any] = {
        "ConvFirst": ConvFirstRow(channels=8),
        "MBConv": InvertedResidualRow(channels=8, expansion=4, group_size=8),
        "ConvNeXt": ConvNeXtRow(channels=8, layer_scale=None),
    }
    return OwnBlock(name, __name__, rows[name])


__all__ = ["OwnBlockView", "own_block"]
