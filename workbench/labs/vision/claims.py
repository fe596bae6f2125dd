"""Claim cards of this lab: what was published, what was measured here, and what differs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from workbench.figures import numbers
from workbench.labs.vision.gap_points import Point, of
from workbench.labs.vision.machines import Machine
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict
from workbench.vision.efficiency.recorded import Recorded
from workbench.vision.efficiency.timed import GroupTimed

LAVIN = "https://arxiv.org/abs/2404.03617"
LAVIN_BIBTEX = """@article{lavin2024efficiency,
  title = {On the Efficiency of Convolutional Neural Networks},
  author = {Lavin, Andrew},
  year = {2024}, eprint = {2404.03617}, archivePrefix = {arXiv}
}
"""
OURS, RIVAL = "our_conv_first", "convnext_tiny"
PAPER_SPEED = 4.0
WIDE = 8
"""Channels of ConvFirst's groups."""
CLEAR = 1.5
"""Ratio of efficiencies from which on a gap counts as there: ours."""


def lavin(points: Sequence[Point], machine: Machine, where: str) -> ClaimCard:
    """ConvFirst with block-fusion kernels about four times as fast as ConvNeXt, equally accurate.

    Args:
        points: measured on one device at one batch.
        machine: that device.
        where: device and date, for the card.
    """
    ours, rival = of(points, OURS), of(points, RIVAL)
    rows = []
    for point, name in ((ours, "Ours"), (rival, "ConvNeXt tiny")):
        share = None if point is None else point.efficiency(machine.peak)
        here = "not run" if share is None else numbers.percent(share)
        rows.append(ClaimRow(name, "–", here, "open"))
    speed, per_operation = _speed(ours, rival), _speed_per_operation(ours, rival)
    rows += [
        ClaimRow("Ours faster", f"≈ {PAPER_SPEED:g} ×", speed, "open"),
        ClaimRow("For each FLOP", "–", per_operation, "open"),
        ClaimRow("Top-1", "equal", "no", "open"),
    ]
    return ClaimCard(
        source="On the Efficiency of Convolutional Neural Networks, abstract",
        url=LAVIN,
        text="ConvFirst with block-fusion kernels is about four times as fast as ConvNeXt under "
        "PyTorch Inductor, at equal accuracy on ImageNet-1K.",
        rows=rows,
        verdict="open",
        reason="Not comparable: the published network is not public; ours is a stand-in that was "
        "not trained, and every layer is a kernel of its own.",
        setting=f"Here: {where}, float32, 224 pixels, layer by layer. Paper: block-fusion kernels "
        "against PyTorch Inductor.",
        details="The first two rows are efficiencies, the next two ratios of times; ours has no "
        "trained weights and no top-1. No row is decided: times of networks of unequal accuracy "
        "say nothing about the claim. Stem, depths and widths of the stand-in are ours; the order "
        "of layers, groups of eight and SiLU are published.",
        bibtex=LAVIN_BIBTEX,
        columns=("efficiency, speed", "paper", "here"),
    )


def both_measured(points: Sequence[Point]) -> bool:
    """Whether there is anything to say on that claim."""
    pair = of(points, OURS), of(points, RIVAL)
    return all(point is not None and point.latency is not None for point in pair)


def _speed(ours: Point | None, rival: Point | None) -> str:
    if ours is None or rival is None or ours.latency is None or rival.latency is None:
        return "not run"
    return f"{numbers.number(rival.latency / ours.latency)} ×"


def _speed_per_operation(ours: Point | None, rival: Point | None) -> str:
    if ours is None or rival is None or ours.latency is None or rival.latency is None:
        return "not run"
    ratio = (rival.latency / rival.operations) / (ours.latency / ours.operations)
    return f"{numbers.number(ratio)} ×"


def grouped(found: Recorded | None) -> ClaimCard:
    """Grouped and depthwise convolutions win accuracy for each operation, and lose efficiency.

    Only the second half is tested, on single layers: the card never says more than "in part".

    Args:
        found: one layer at every group size, measured on one device; None where nothing ships.
    """
    shares = [] if found is None else [_shares(found, shape) for shape in _shapes(found)]
    rows = []
    for words, above, below, paper in (
        ("Depthwise / dense", "depthwise", "dense", "< 1 ×"),
        ("By 8 / dense", "eight", "dense", "< 1 ×"),
        ("By 8 / depthwise", "eight", "depthwise", "–"),
    ):
        ratios = [share[above] / share[below] for share in shares]
        if not ratios:
            rows.append(ClaimRow(words, paper))
            continue
        middle = statistics.median(ratios)
        verdict: Verdict = "open"
        if paper != "–":
            verdict = "reproduced" if middle <= 1 / CLEAR else "failed"
        rows.append(ClaimRow(words, paper, f"{numbers.number(middle)} ×", verdict))
    told = [row.verdict for row in rows[:2]]
    rows.append(ClaimRow("Accuracy / FLOP", "higher"))
    whole: Verdict = "open" if "open" in told else "part"  # accuracy is open in any case
    if set(told) == {"failed"}:
        whole = "failed"
    return ClaimCard(
        source="On the Efficiency of Convolutional Neural Networks, abstract",
        url=LAVIN,
        text="Grouped and depthwise convolutions win accuracy for each operation, and lose "
        "efficiency: they move as much and compute less.",
        rows=rows,
        verdict=whole,
        reason=f"{_between(rows[2].here)} Accuracy is not tested."
        if shares
        else "Not measured yet.",
        setting=""
        if found is None
        else f"Here: {found.where}, float32, batch {_batch(found)}, "
        "3 × 3 taps, 224-pixel stages. Paper: GPUs.",
        details="By 8: in groups of eight channels. Efficiency: counted operations over time and "
        f"peak of single layers that run alone; medians over {len(shares)} shapes. Accuracy for "
        "each operation takes networks trained alike on ImageNet-1K, which were not trained "
        f"here, so the whole is reproduced in part at most. A row holds from {CLEAR:g} × on, which "
        "is our threshold. Dense convolutions run in Winograd’s form where that was faster, with "
        "fewer products than are counted.",
        bibtex=LAVIN_BIBTEX,
        columns=("efficiency", "paper", "here"),
    )


def _between(ratio: str) -> str:
    return (
        f"Groups of eight have {ratio} depthwise’s efficiency, where their intensity would allow "
        "8 ×."
    )


def _shapes(found: Recorded) -> list[tuple[int, int]]:
    return list(dict.fromkeys((row.pixels, row.channels) for row in found.rows))


def _shares(found: Recorded, shape: tuple[int, int]) -> dict[str, float]:
    """Share of the peak of the layer in three forms."""
    peak = found.peaks.flops("float32")
    sizes = {"depthwise": 1, "eight": WIDE, "dense": shape[1]}
    return {
        name: efficiency_of(row, peak)
        for name, size in sizes.items()
        for row in found.rows
        if (row.pixels, row.channels, row.group_size) == (*shape, size)
    }


def efficiency_of(row: GroupTimed, peak: float) -> float:
    """Share of a peak [FLOP/s] that one layer reached."""
    return row.operations / row.median / peak


def _batch(found: Recorded) -> int:
    return int(found.rows[0].batch)
