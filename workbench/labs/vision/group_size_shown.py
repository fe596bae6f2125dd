"""Decision numbers, the verdict line and the tables of the group-size page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures.numbers import count, memory, number, percent
from workbench.labs.vision.group_size_charts import CONSTANT, FIXED, SLOTS
from workbench.panels.picture import Cell, Column, Figure, FiguresContent, TableContent
from workbench.vision.conv_shapes import ConvShape, Outline
from workbench.vision.energy import Prices, imbalance, spent
from workbench.vision.group_size_verdict import Verdict, against_depthwise, at_equal_arithmetic


def figures(
    outline: Outline,
    constant: Sequence[ConvShape],
    fixed: Sequence[ConvShape],
    size: int,
    groups: int,
    prices: Prices,
    accuracy: str,
    **traffic: int,
) -> FiguresContent:
    """The constant size in numbers, the fixed number beside it, and the verdict.

    Args:
        outline: of the network.
        constant, fixed: all layers.
        size, groups: G and g.
        prices: of the energy model.
        accuracy: what the study says, in words.
        traffic: batch and bytes of a number.
    """
    ours, theirs = (spent(layers, prices, **traffic) for layers in (constant, fixed))
    spread = [imbalance(layers, **traffic) for layers in (constant, fixed)]
    learnt = [outline.parameters(layers) for layers in (constant, fixed)]
    other = f"g = {groups}:"
    found = [
        Figure("Operations", count(ours.macs), "MACs", f"{other} {count(theirs.macs)}",
               "predicted"),
        Figure("Parameters", count(learnt[0]), "", f"{other} {count(learnt[1])}", "predicted"),
        Figure("Moved", memory(ours.bytes_moved), "", f"{other} {memory(theirs.bytes_moved)}",
               "predicted"),
        Figure("Energy, modelled", number(1e3 * ours.joules), "mJ",
               f"{other} {number(1e3 * theirs.joules)}", "predicted"),
        Figure("Reuse, most over least", number(spread[0]), "×", f"{other} {number(spread[1])}",
               "predicted"),
    ]  # fmt: skip
    return FiguresContent(
        found,
        f"Is G = {size} better than g = {groups}?",
        verdict_line(ours.macs / theirs.macs, ours.joules / theirs.joules, spread, accuracy),
    )


def verdict_line(macs: float, joules: float, spread: Sequence[float], accuracy: str) -> str:
    """One sentence: balance, arithmetic, energy, accuracy.

    Args:
        macs, joules: of the constant size over those of the fixed number.
        spread: largest over least reuse, of both.
        accuracy: in words.
    """
    better = "better balanced" if spread[0] < spread[1] else "worse balanced"
    better = "as balanced" if abs(spread[0] / spread[1] - 1) < 0.01 else better
    return (
        f"Constant size is {better} (reuse varies {number(spread[0])} ×, not "
        f"{number(spread[1])} ×), at {_change(macs)} multiply-adds and {_change(joules)} energy. "
        f"{accuracy}"
    )


def _change(ratio: float) -> str:
    """Per cent with its sign; nothing is +0.0, whichever side it was rounded from."""
    return f"{round(100 * (ratio - 1), 1) + 0.0:+.1f} %"


def layers_table(
    constant: Sequence[ConvShape], fixed: Sequence[ConvShape], prices: Prices, **traffic: int
) -> TableContent:
    """Every layer: its groups, arithmetic, bytes, energy and reuse with both rules."""
    total = [spent(layers, prices, **traffic).joules for layers in (constant, fixed)]
    rows: list[list[Cell | str]] = []
    for ours, theirs in zip(constant, fixed, strict=True):
        pair = [spent([one], prices, **traffic) for one in (ours, theirs)]
        rows.append([
            Cell(ours.name, strong=ours.groupable),
            str(ours.inputs),
            f"{ours.group_size} / {theirs.group_size}" if ours.groupable else "–",
            _both(*(count(one.macs) for one in pair)),
            _both(*(memory(one.bytes_moved) for one in pair)),
            _both(*(number(one.reuse) for one in pair)),
            _both(*(percent(one.joules / all_) for one, all_ in zip(pair, total, strict=True))),
        ])  # fmt: skip
    heads = (
        Column("Layer"), Column("Channels", number=True), Column("Group size", number=True),
        Column("MACs", number=True), Column("Moved", number=True, optional=True),
        Column("Reuse", number=True), Column("Of the energy", number=True, optional=True),
    )  # fmt: skip
    about = "Constant size / fixed number, one figure where both agree. Counted."
    return TableContent(heads, rows, "Where does it go?", about)


def _both(ours: str, theirs: str) -> str:
    return ours if ours == theirs else f"{ours} / {theirs}"


def verdicts(
    rows: Sequence[Mapping[str, Any]], network: str, card: Mapping[str, Any]
) -> TableContent:
    """What the study says of one network: every comparison with its interval.

    Args:
        rows: of the study.
        network: a small table.
        card: of the study.
    """
    found: list[list[Cell | str]] = []
    for verdict in (*at_equal_arithmetic(rows, network), *against_depthwise(rows, network)):
        found.append([
            Cell(_short(verdict.first), method=_slot(verdict.first)),
            percent(verdict.ours.value),
            Cell(_short(verdict.second), method=_slot(verdict.second)),
            percent(verdict.theirs.value),
            _difference(verdict),
            Cell(_said(verdict), strong=bool(verdict.better)),
        ])  # fmt: skip
    heads = (
        Column("First"), Column("right", number=True), Column("Second"),
        Column("right", number=True), Column("Difference", number=True), Column("Verdict"),
    )  # fmt: skip
    about = (
        f"Paired by {card['seeds']} seeds; points, 95 % intervals, not corrected for their number. "
        "At equal arithmetic a fixed number has more parameters: its deep layers have larger "
        "groups. "
        f"Brightness alone gives {percent(card['brightness_alone'])}. {card['device']}, "
        f"{card['date']}."
    )
    return TableContent(heads, found, "What did training say?", about)


def accuracy_line(rows: Sequence[Mapping[str, Any]], network: str) -> str:
    """What the study says of one network's pairs of equal arithmetic."""
    held = at_equal_arithmetic(rows, network)
    won, lost = (sum(v.better == getattr(v, side) for v in held) for side in ("first", "second"))
    if not won and not lost:
        return f"Trained small, {len(held)} pairs of equal arithmetic are not told apart."
    return (
        f"Trained small, it is more accurate in {won} of {len(held)} pairs of equal arithmetic and "
        f"less in {lost}."
    )


def _short(arm: str) -> str:
    return arm.split(", ")[1]


def _slot(arm: str) -> int:
    return SLOTS[CONSTANT if _short(arm).startswith("G") else FIXED]


def _difference(verdict: Verdict) -> Cell:
    change = verdict.difference
    note = f"{100 * change.low:+.2f} to {100 * change.high:+.2f}" if change.known else ""
    return Cell(f"{100 * change.value:+.2f}", note=note)


def _said(verdict: Verdict) -> str:
    return f"{_short(verdict.better)} is better" if verdict.better else "not told apart"
