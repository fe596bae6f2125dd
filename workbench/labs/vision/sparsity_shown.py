"""What stands on the sparsity page: measured beside modelled speed, accuracy, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.vision.sparsity_form import TRAINED_NAMES, WHOLE_NAMES, Pointwise
from workbench.measure.cost import Cost
from workbench.measure.roofline import Peaks, roofline
from workbench.panels.picture import (
    Cell,
    Column,
    Figure,
    FiguresContent,
    TableContent,
    Verdict,
)
from workbench.vision.pruning import density_timed as timed_of
from workbench.vision.pruning import places
from workbench.vision.pruning.density_timed import (
    Accuracy,
    DensityTimed,
    NetworkTimed,
    break_even,
)

SPEED = "From which density do fewer weights take less time?"
ACCURACY = "What do the dropped weights cost?"
VERDICT = "Is it worth it?"
BLOCKS, N_OF_M, SINGLE = "Blocks", "N\u00a0of\u00a04", "Single weights"
BLOCKS_MODELLED, N_MODELLED = "Blocks, modelled", "N of 4, modelled"
SLOTS = {BLOCKS: 1, BLOCKS_MODELLED: 1, N_OF_M: 5, N_MODELLED: 5, SINGLE: 7}
KINDS = {timed_of.BLOCKS: BLOCKS, timed_of.N_OF_M: N_OF_M, "single weights": SINGLE}
XNNPACK = 1 / 3
"""Share of weights under which XNNPACK runs pointwise convolutions sparse: two thirds are zero."""

CLOSE = 0.06
"""Difference of densities up to which a time and an accuracy are told in one row: ours."""

SHARES = (1.0, 0.75, 0.5, 0.33, 0.25, 0.17, 0.125, 0.08)


def modelled(
    layer: Pointwise, rows: int, block: int, density: float, kind: str, peaks: Peaks
) -> float:
    """Dense over sparse time: the larger of arithmetic and bytes of both.

    Args:
        layer: the layer.
        rows: pixels of the batch.
        block: rows and columns of a block.
        density: share of weights that stays.
        kind: one of `KINDS`' names.
        peaks: of the device.
    """
    weights = layer.inputs * layer.outputs
    stay = round(density * weights)
    moved = 4 * (rows * (layer.inputs + layer.outputs) + weights)
    held = {
        BLOCKS: lambda: places.of_blocks(stay, block),
        N_OF_M: lambda: places.of_n_of_m(stay, 4),
        SINGLE: lambda: places.of_single_weights(stay, layer.outputs),
    }[kind]()
    dense = Cost(macs=rows * weights, bytes_moved=moved, basis="modelled")
    sparse = places.cost_of(rows * weights, moved, weights, stay, held)
    return roofline(dense, peaks).seconds / roofline(sparse, peaks).seconds


def speed(
    layer: Pointwise, rows: int, block: int, timed: Sequence[DensityTimed], peaks: Peaks, where: str
) -> Chart:
    """Measured and modelled speed of one layer, and where both take as long.

    Args:
        layer, rows, block, peaks: as in `modelled`.
        timed: of this layer, batch and block; none where nothing was.
        where: device and date of the times.
    """
    points: list[dict[str, Any]] = [
        {
            "method": KINDS[one.structure], "percent": 100 * one.density, "speed": one.speedup,
            "low": one.low, "high": one.high, "predicted": False,
        }
        for one in timed
    ]  # fmt: skip
    for name, kind in ((BLOCKS_MODELLED, BLOCKS), (N_MODELLED, N_OF_M), (SINGLE, SINGLE)):
        points += [
            {
                "method": name, "percent": 100 * share, "predicted": True,
                "speed": modelled(layer, rows, block, share, kind, peaks),
            }
            for share in (SHARES if kind != N_OF_M else (0.75, 0.5, 0.25))
        ]  # fmt: skip
    even = _break_even(timed)
    marks = {"XNNPACK goes sparse": 100 * XNNPACK}
    if even is not None:
        marks["break-even, measured"] = 100 * even
    band = "filled: measured, quartiles · " if timed else ""
    return lines(
        points,
        Axis("percent", "Weights kept (%)", unit="%", scale="log"),
        Axis("speed", "Times as fast as the whole layer", scale="log"),
        title=SPEED,
        subtitle=f"{layer.name}, {rows} pixels, blocks of {block} · {band}hollow: modelled by"
        f" arithmetic and bytes, no measurement{' · ' + where if where and timed else ''}",
        names={SINGLE: "Single, modelled"},
        slots=SLOTS,
        marks=True,
        level=1.0,
        upright=marks,
        height=270,
    )


def accuracy(rows: Sequence[Accuracy]) -> Chart:
    """Top-1 of a trained network against the share of weights that stays."""
    whole = next(row for row in rows if row.structure == "dense")
    points = [
        {
            "method": KINDS.get(row.structure, name), "percent": 100 * row.density,
            "top1": 100 * row.top1, "low": 100 * row.low, "high": 100 * row.high,
        }
        for name in KINDS.values()
        for row in rows
        if row.structure == "dense" or KINDS[row.structure] == name
    ]  # fmt: skip
    return lines(
        points,
        Axis("percent", "Weights kept in pruned layers (%)", unit="%"),
        Axis("top1", "Top-1 on held-out patches (%)", unit="%"),
        title=ACCURACY,
        subtitle=f"{TRAINED_NAMES.get(whole.network, whole.network)}, {_how(whole)}; blocks of 8 ·"
        f" bands: 95 %, {whole.count} pictures",
        slots=SLOTS,
        marks=True,
        level=100 * whole.top1,
        height=270,
    )


def _how(whole: Accuracy) -> str:
    if whole.updates:
        return (
            f"pruned by the cubic schedule in {whole.updates} more updates; with all weights it"
            " trained on as long"
        )
    return "pruned at once, not trained again: only batch norms’ statistics are new"


def worth(
    one: DensityTimed, near: Accuracy | None = None, whole: Accuracy | None = None
) -> tuple[str, Verdict]:
    """Whether the kept blocks are worth it, in words and as a mark.

    Args:
        one: times; faster where both quartiles of the ratios are.
        near: accuracy at this density, where it was judged.
        whole: accuracy of the network as it was; less where the intervals do not touch.
    """
    if one.low <= 1:
        return f"not worth it: {'slower' if one.high < 1 else 'no faster'}", "failed"
    if near is not None and whole is not None and near.high < whole.low:
        again = "though trained again" if near.updates else "before it is trained again"
        return f"faster; not worth it {again}", "part"
    return "faster", "reproduced"


def table(
    layer: Pointwise,
    rows: int,
    block: int,
    timed: Sequence[DensityTimed],
    judged: Sequence[Accuracy],
    peaks: Peaks,
) -> TableContent:
    """Each density: measured and modelled speed, the verdict, and what accuracy was lost."""
    cells: list[list[Cell | str]] = []
    whole = next((row for row in judged if row.structure == "dense"), None)
    for one in timed:
        kind = KINDS[one.structure]
        best = modelled(layer, rows, block, one.density, kind, peaks)
        # The sparsest that keeps as much: with less yet, no more is right.
        near = min(
            (r for r in judged if r.structure == one.structure and r.density > one.density - CLOSE),
            key=lambda row: row.density,
            default=None,
        )
        lost = "–"
        if near is not None and whole is not None and abs(near.density - one.density) < CLOSE:
            lost = f"{100 * (near.top1 - whole.top1):+.1f} points".replace("-", "−")
        verdict, mark = worth(one, near, whole)
        cells.append([
            Cell(_kept(one), method=SLOTS[kind]),
            Cell(f"{one.speedup:.2f} ×", note=f"{one.low:.2f}–{one.high:.2f}", strong=True),
            Cell(f"{best:.2f} ×", basis="predicted"),
            Cell(verdict, verdict=mark),
            lost,
        ])  # fmt: skip
    heads = (
        Column("Kept"), Column("Measured", number=True), Column("Modelled", number=True),
        Column("Verdict", wrap=True), Column("Top-1", number=True, optional=True),
    )  # fmt: skip
    about = (
        "Measured: dense over sparse time by turns, median and quartiles. Modelled: arithmetic, or "
        "bytes through main memory; what stays in a cache can be faster. N of 4 leaves weights in "
        "every block, so all are multiplied. Top-1: of the network beside, in blocks of 8, against "
        "all its weights."
    )
    return TableContent(heads, cells, VERDICT, about)


def _kept(one: DensityTimed) -> str:
    if one.structure == timed_of.N_OF_M:
        return f"{round(4 * one.density)} of 4"
    return f"{numbers.percent(one.density)} of blocks"


def _break_even(timed: Sequence[DensityTimed]) -> float | None:
    blocks = [one for one in timed if one.structure == timed_of.BLOCKS]
    return break_even((one.density, one.speedup) for one in blocks)


def figures(timed: Sequence[DensityTimed], whole: NetworkTimed | None = None) -> FiguresContent:
    """Where both take as long, how fast one block in six is, and the network it belongs to.

    Args:
        timed: of one layer.
        whole: its network, where that was timed.
    """
    even = _break_even(timed)
    blocks = [one for one in timed if one.structure == timed_of.BLOCKS]
    sixth = min(blocks, key=lambda one: abs(one.density - 1 / 6))
    strip = [
        Figure("Break-even", numbers.percent(even) if even else "none", "", "of the blocks kept"),
        Figure(
            f"At {numbers.percent(sixth.density)}", f"{sixth.speedup:.2f}", "×",
            f"{sixth.low:.2f}–{sixth.high:.2f}",
        ),
        Figure("Dense", numbers.seconds(sixth.dense), "", "median"),
        Figure("Its blocks", numbers.seconds(sixth.sparse), "", "median"),
    ]  # fmt: skip
    if whole is not None:
        name = WHOLE_NAMES.get(whole.network, whole.network)
        strip.append(
            Figure(
                f"{name}, whole", f"{whole.speedup:.2f}", "×",
                f"{whole.low:.2f}–{whole.high:.2f}; modelled {whole.modelled:.2f} ×",
            )
        )  # fmt: skip
    return FiguresContent(strip, "One layer, and its network with as few blocks, measured")
