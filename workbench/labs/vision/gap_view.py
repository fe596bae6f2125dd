"""The efficiency gap: ideal and measured latency of networks, and the waterline of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, gaps
from workbench.figures.numbers import count
from workbench.labs.vision import claims, families, gap_points, machines, water_shown
from workbench.labs.vision.beyond_peak import beyond_peak
from workbench.labs.vision.form import (
    CHOICES,
    GAP_GROUPS,
    GAP_PRESETS,
    OWN,
    PUBLISHED_BATCH,
    SHOWN,
    WATER,
    rates,
    tile,
)
from workbench.labs.vision.gap_points import Point
from workbench.labs.vision.lab_view import VisionView
from workbench.labs.vision.machines import HERE, RTX3090, Machine, machine
from workbench.labs.vision.water_rows import Kernels, timed_parts
from workbench.measure.roofline import Peaks
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, ClaimCard, Content, EmptyContent, Picture
from workbench.panels.view import Hints, Problem, Slot, Values
from workbench.progress import Report
from workbench.vision.efficiency import counted, published, recorded
from workbench.vision.efficiency.timed import Timed

TITLE = "Does less arithmetic take less time?"


def gap(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The panel of the efficiency gap.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(GapView(), settings=settings)


class GapView(VisionView):
    """Networks at their ideal and their measured latency; a click opens one's waterline."""

    title = "The efficiency gap"
    study_line = "Ideal and measured latency of convnets, and where the time of one of them goes"
    opener = "gap"
    verb = "Measure"
    groups = GAP_GROUPS
    presets = GAP_PRESETS
    exports = (*EXPORTS, *others(water="Waterline"))
    layout = (
        (Slot("gap", "chart", 1.6), Slot("reach", "table", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("water", "chart"),),
        (Slot("layers", "table", folded=True),),
    )

    def __init__(self) -> None:
        self.rows: dict[int, list[Timed]] = {}
        self.peaks: Peaks | None = None
        self.device = ""

    def check(self, values: Values) -> list[Problem]:
        """Widths of layers that were not timed."""
        shown: Any = values[SHOWN]
        water: Any = values[WATER]
        if shown.network == OWN:
            text = "This page has published networks: open vision.waterline(yours) for yours"
            return [Problem("error", "network", text, SHOWN)]
        if water.across == "measured" and not self._kernels(values).timed:
            text = f"No layer of {families.name(shown.network)} was timed here; least time is shown"
            return [Problem("warn", "across", text, WATER)]
        return []

    def hints(self, values: Values) -> Hints:
        """A network of one's own stands on the page of the waterline."""
        return Hints(withheld={f"{SHOWN}.network": [OWN]})

    def predict(self, values: Values) -> Picture:
        """The published table, or what was measured before."""
        return self._picture(values)

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """This machine's rates once, then all networks by turns."""
        from workbench.measure import device, roofline
        from workbench.vision import published as table
        from workbench.vision.latency import ready, time_networks

        shown: Any = values[SHOWN]
        if shown.source != HERE:
            raise ValueError("The table of the RTX 3090 is published: choose “Measured here”")
        batch = int(shown.batch)
        report(0, 1, "Measuring this machine’s rates")
        self.peaks = roofline.measured("float32", report=report)
        self.device = device.label()
        networks = {}
        for number, name in enumerate(families.MEASURED):
            report(number, len(families.MEASURED), f"Making {families.name(name)}")
            networks[name] = ready(table(name))
        self.rows[batch] = time_networks(networks, batch=batch, repeats=5, report=report)
        yield self._picture(values)

    def load(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """A clicked network's waterline."""
        return {SHOWN: {"network": key}} if key in CHOICES and key != OWN else None

    # -- pictures ---------------------------------------------------------------------------

    def _picture(self, values: Values) -> Picture:
        shown: Any = values[SHOWN]
        live = self._live(values)
        contents: dict[str, Content] = {}
        try:
            device = self._machine(values)
        except ValueError as error:
            contents["gap"] = EmptyContent(TITLE, str(error), self.verb)
            return Picture(contents, basis="predicted")
        points = self._points(values)
        kernels = self._kernels(values)
        contents |= {
            "gap": ChartContent.of(self._chart(values, points, device)),
            "reach": water_shown.reach(kernels, machines.machines(self._here(values))),
            "figures": water_shown.figures(kernels, self._measured(points, values, device)),
            "water": ChartContent.of(
                water_shown.water(families.name(shown.network), kernels, self._across(values))
            ),
            "layers": water_shown.table(kernels),
        }
        card = claims.grouped(recorded.groups())
        beside = self._beside(values, points, device)
        where = recorded.latencies()
        if shown.source == RTX3090:
            return Picture(
                contents, claim=card, beside=beside, basis="recorded",
                device=published.card()["device"],
                details=(published.card()["setting"],),
            )  # fmt: skip
        if live:
            return Picture(
                contents, claim=card, beside=beside, basis="measured", device=self.device
            )
        return Picture(
            contents,
            claim=card,
            beside=beside,
            basis="recorded",
            device="" if where is None else str(where.card["device"]),
            when="" if where is None else str(where.card["date"]),
            details=(
                f"batch {shown.batch}, float32, {counted.pixels()} pixels",
                "" if where is None else str(where.card["clock"]),
            ),
        )

    def _machine(self, values: Values) -> Machine:
        shown: Any = values[SHOWN]
        peak, bandwidth = rates(values)
        return machine(shown.source, peak=peak, bandwidth=bandwidth, here=self._here(values))

    def _live(self, values: Values) -> bool:
        """Whether what is drawn was measured in this session."""
        shown: Any = values[SHOWN]
        return shown.source == HERE and int(shown.batch) in self.rows

    def _here(self, values: Values) -> Peaks | None:
        """The rates that belong to the latencies: those of this session, or those that ship."""
        shown: Any = values[SHOWN]
        found = recorded.latencies()
        shipped = found is not None and (shown.source != HERE or not self._live(values))
        return None if shipped else self.peaks

    def _points(self, values: Values) -> list[Point]:
        shown: Any = values[SHOWN]
        if shown.source == RTX3090:
            return gap_points.from_table()
        return gap_points.from_rows(self._rows(int(shown.batch)), int(shown.batch))

    def _rows(self, batch: int) -> Sequence[Timed]:
        """What was measured here just now, else what ships."""
        found = recorded.latencies()
        return self.rows.get(batch) or (found.rows if found is not None else [])

    def _kernels(self, values: Values) -> Kernels:
        shown: Any = values[SHOWN]
        water: Any = values[WATER]
        here = shown.source == HERE
        batch = int(shown.batch) if here else PUBLISHED_BATCH
        found = recorded.latencies()
        rows = found.rows if here and found is not None and not self._live(values) else []
        return Kernels(
            counted.layers(shown.network),
            self._machine(values),
            batch,
            fused=water.kernels == "fused",
            tile=tile(values),
            timed=timed_parts(rows, shown.network, batch),
        )

    def _across(self, values: Values) -> str:
        water: Any = values[WATER]
        kernels = self._kernels(values)
        if water.across == "measured" and not kernels.timed:
            return "time"
        return str(water.across)

    def _chart(self, values: Values, points: Sequence[Point], device: Machine) -> Chart:
        shown: Any = values[SHOWN]
        by_top1 = shown.height == "top1"
        left = [point for point in points if by_top1 and point.top1 is None]
        drawn = [point for point in points if not (by_top1 and point.top1 is None)]
        height = (
            Axis("top1", "Top-1 on ImageNet-1K (%)", unit="%")
            if by_top1
            else Axis("gflop", "Operations of a picture (GFLOP)", scale="log")
        )
        how = "one picture" if shown.source == HERE else f"1 / rate at batch {PUBLISHED_BATCH}"
        if shown.source == HERE and shown.batch != "1":
            how = f"batch {shown.batch} / {shown.batch}"
        note = ""
        if left:
            names = ", ".join(families.name(point.network) for point in left)
            note = f" · {names}: no published accuracy, see by operations"
        beyond = gap_points.beyond(drawn, device.peak)
        if beyond:
            faster = [families.name(point.network) for point in beyond]
            note = f" · {beyond_peak(faster, device)}{note}"
        return gaps(
            [point.row(device) for point in drawn],
            Axis("latency", f"Milliseconds a picture ({how})", scale="log"),
            height,
            title=TITLE,
            subtitle=f"{device.name}, {device.dtype} · hollow: operations / peak · filled: "
            f"measured; the gap is 1 / efficiency{note}",
            current=shown.network,
            slots=families.SLOTS,
            height=290,
        )

    def _measured(
        self, points: Sequence[Point], values: Values, device: Machine
    ) -> water_shown.Measured | None:
        shown: Any = values[SHOWN]
        point = gap_points.of(points, shown.network)
        if point is None or point.latency is None:
            return None
        assert point.low is not None and point.high is not None, "measured with its spread"
        efficiency = point.efficiency(device.peak)
        assert efficiency is not None, "of a point that was measured"
        note = "of the peak"
        if shown.source == RTX3090:
            note = f"timm, {count(point.operations / 2)} MAC"
        return water_shown.Measured(
            point.latency * point.batch, point.low * point.batch, point.high * point.batch,
            efficiency, note,
        )  # fmt: skip

    def _beside(
        self, values: Values, points: Sequence[Point], device: Machine
    ) -> tuple[ClaimCard, ...]:
        """The claim on ConvFirst, where its two networks were measured on this machine."""
        shown: Any = values[SHOWN]
        if shown.source != HERE or not claims.both_measured(points):
            return ()
        found = recorded.latencies()
        where = self.device if self._live(values) else "" if found is None else found.where
        return (claims.lavin(points, device, where),)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """Everything measured that is drawn."""
        shown: Any = values[SHOWN]
        device = self._machine(values)
        return {"networks": [point.row(device) for point in self._points(values)]} | (
            {} if shown.source == RTX3090
            else {"timed": [asdict(row) for row in self._rows(int(shown.batch))]}
        )  # fmt: skip

    def records(self, values: Values) -> Mapping[str, Any]:
        """Where the rates and the latencies come from."""
        device = self._machine(values)
        return {
            "device": {
                "name": device.name, "peak_flop_per_s": device.peak, "peak_from": device.peak_from,
                "bytes_per_s": device.bandwidth, "bandwidth_from": device.bandwidth_from,
                "source": device.source,
            },
            "published": published.card(),
        }  # fmt: skip


__all__ = ["GapView", "gap"]
