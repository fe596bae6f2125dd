"""The gate explorer's charts: memory by head, by channel, by token, and lower bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, heat, lines, ranges
from workbench.labs.language.gate_memory import Gates, LayerGates
from workbench.labs.language.shelf import Book, family
from workbench.panels.picture import Cell, Column, TableContent

HEADS = "How far back does each head remember?"
BOUNDS = "What must each layer keep?"
TOKENS = Axis("value", "Tokens until 1/e is left", scale="log", words="count")
FORGETFUL = 8
"""Tokens listed at which a layer forgets most."""

POINTS = 72
"""Points of a line over the tokens."""

BEFORE = 24
"""Characters shown before such a token."""


def by_head(book: Book, gates: Gates, where: str) -> Chart:
    """Median memory of each head, and nine tenths of its channels and tokens around it."""
    name = family(book.config)
    rows = [
        {"group": f"layer {one.layer + 1}", "method": name, "label": _name(one, head),
         "value": found.median, "low": found.low, "high": found.high, "predicted": False,
         "key": str(one.layer + 1)}
        for one in gates.layers for head, found in enumerate(one.heads)
    ]  # fmt: skip
    return ranges(
        rows,
        TOKENS,
        title=HEADS,
        subtitle=f"Mark: median · bar: 10 to 90 % of channels and tokens · {where}",
        slots={name: book.slot},
    )


def _name(one: LayerGates, head: int) -> str:
    return f"layer {one.layer + 1}" + (f", head {head + 1}" if len(one.heads) > 1 else "")


def by_channel(one: LayerGates) -> Chart:
    """Memory of each channel of a layer, from the shortest to the longest."""
    rows: list[dict[str, Any]] = [
        {"step": place, "block": f"head {head + 1}", "value": value}
        for head, found in enumerate(one.heads) for place, value in enumerate(found.channels)
    ]  # fmt: skip
    return heat(
        rows,
        Axis("step", "Channel, by its memory"),
        Axis("block", "Head"),
        Axis("value", "Tokens"),
        title=f"Do channels of layer {one.layer + 1} differ?",
        subtitle="Median tokens until 1/e is left, shortest memory at the left",
        thresholds=_steps([row["value"] for row in rows]),
    )


def _steps(values: Sequence[float]) -> tuple[float, ...]:
    """Seven steps of equal ratios between the least value and the greatest; none where all are
    alike."""
    low, high = min(values), max(values)
    if high < 1.01 * low:
        return ()
    return tuple(float(f"{low * (high / low) ** (k / 8):.3g}") for k in range(1, 8))


def by_token(book: Book, gates: Gates, one: LayerGates) -> Chart:
    """Share of a layer's state that is kept at each token."""
    heads = range(len(one.heads))
    window = max(1, len(gates.tokens) // POINTS)
    rows: list[dict[str, Any]] = [
        {"method": f"Head {head + 1}" if len(one.heads) > 1 else family(book.config),
         "token": first + window // 2, "kept": sum(kept) / len(kept)}
        for head in heads for first in range(0, len(gates.tokens), window)
        for kept in [one.heads[head].kept[first : first + window]]
    ]  # fmt: skip
    names = dict.fromkeys(row["method"] for row in rows)
    slots = {name: (book.slot + place) % 10 for place, name in enumerate(names)}
    return lines(
        rows,
        Axis("token", "Token of the text"),
        Axis("kept", "Share kept"),
        title=f"Where in the text does layer {one.layer + 1} forget?",
        subtitle=f"Gates, means of {window} tokens and all channels: 1 keeps all",
        slots=slots,
    )


def bounds(book: Book, gates: Gates) -> Chart | None:
    """Learned lower bounds of forget gates by layer; None for a model without them."""
    name = family(book.config)
    rows = [
        {"group": f"layer {one.layer + 1}", "method": name, "bound": one.bounds[1],
         "low": one.bounds[0], "high": one.bounds[2]}
        for one in gates.layers if one.bounds
    ]  # fmt: skip
    if not rows:
        return None
    return ranges(
        rows,
        Axis("bound", "Least forget gate", domain=(0.0, 1.0)),
        title=BOUNDS,
        subtitle="Learned lower bound · mark: median of channels · bar: 10 to 90 %",
        slots={name: book.slot},
    )


def forgetful(gates: Gates, one: LayerGates) -> TableContent:
    """The tokens at which a layer keeps least."""
    kept = [sum(values) / len(values) for values in zip(*(h.kept for h in one.heads), strict=True)]
    least = sorted(range(1, len(kept)), key=lambda place: kept[place])[:FORGETFUL]
    rows: list[list[Cell | str]] = [
        [_before(gates, place), Cell(_seen(gates.tokens[place]), strong=True),
         Cell(numbers.number(kept[place]))]
        for place in least
    ]  # fmt: skip
    heads = (Column("After", wrap=True), Column("Token"), Column("Share kept", number=True))
    about = "The tokens at which the layer keeps least of its state, mean over heads and channels."
    return TableContent(heads, rows, f"At which tokens does layer {one.layer + 1} forget?", about)


def _before(gates: Gates, place: int) -> str:
    text = _seen("".join(gates.tokens[max(0, place - BEFORE) : place]))
    return ("… " if place > BEFORE else "") + text[-BEFORE:]


def _seen(text: str) -> str:
    """A token one can see: line ends and single spaces have a sign."""
    shown = text.replace("\n", "↵")
    return "␣" if shown == " " else shown


def rows_of(gates: Gates) -> list[dict[str, Any]]:
    """Every channel's memory, for the export."""
    return [
        {"layer": one.layer + 1, "head": head + 1, "channel": place, "tokens": value}
        for one in gates.layers for head, found in enumerate(one.heads)
        for place, value in enumerate(found.channels)
    ]  # fmt: skip
