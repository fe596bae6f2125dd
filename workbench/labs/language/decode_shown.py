"""The decoding panel's picture: texts, decision figures, rates, memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.language.decode_form import Writing
from workbench.labs.language.decode_run import WINDOW, Written
from workbench.labs.language.layer_cost import lengths
from workbench.labs.language.shelf import Book
from workbench.panels.picture import (
    Bar,
    Basis,
    Figure,
    FiguresContent,
    Share,
    SharesContent,
    WrittenContent,
)
from workbench.panels.picture import Written as Text

TEXTS, FIGURES = "What does it write?", "How fast is it?"
RATES, MEMORY = "Does it slow down as the text grows?", "How does memory grow with the text?"
METER = "What holds the memory?"
LONGEST = 65536
"""Context to which memory is foreseen."""


def slots(books: Sequence[Book]) -> dict[str, int]:
    """Colour and mark of each model; a second of the same family has the next free one."""
    found: dict[str, int] = {}
    for book in books:
        free = (slot for slot in (book.slot, *range(10)) if slot not in found.values())
        found[book.name] = next(free)
    return found


def texts(
    books: Sequence[Book], found: Sequence[Written], knobs: Writing, writing: bool, where: str
) -> WrittenContent:
    """The texts side by side."""
    marks, by_name = slots(books), {one.name: one for one in found}
    shown = [
        Text(
            label=book.name,
            method=marks[book.name],
            prompt=knobs.prompt,
            text=by_name[book.name].text if book.name in by_name else "",
            note=_note(by_name.get(book.name), book, knobs),
            writing=writing and book.name in by_name,
            basis="measured" if book.name in by_name else "predicted",
        )
        for book in books
    ]
    about = f"Temperature {numbers.setting(knobs.temperature)} · seed {knobs.seed}"
    return WrittenContent(TEXTS, shown, f"{about} · {where}" if where else about)


def _note(one: Written | None, book: Book, knobs: Writing) -> str:
    if one is None or not one.ids:
        state = book.state_bytes(knobs.tokens)
        return "" if state is None else f"State of {numbers.memory(state)}, by formula"
    rate = "" if one.rate is None else f" · {numbers.number(one.rate)} tokens a second"
    return f"{len(one.ids)} tokens{rate} · state {numbers.memory(one.state)}"


def figures(books: Sequence[Book], found: Sequence[Written], basis: Basis) -> FiguresContent:
    """Tokens a second and time to the first token of each model."""
    by_name = {one.name: one for one in found}
    strip: list[Figure] = []
    for book in books:
        one = by_name.get(book.name)
        rate, first = (None, None) if one is None else (one.rate, one.first)
        spread = "" if one is None or rate is None else _spread(one)
        strip += [
            Figure(f"{book.name}, rate", "not run" if rate is None else numbers.number(rate),
                   "" if rate is None else "tok/s", spread, basis if one else "measured"),
            Figure(f"{book.name}, first token",
                   "not run" if first is None else numbers.seconds(first), "",
                   "" if first is None else "prompt included", basis if one else "measured"),
        ]  # fmt: skip
    return FiguresContent(strip, FIGURES)


def _spread(one: Written) -> str:
    rates = [rate for _, rate in one.rates()]
    if len(rates) < 2:
        return "one stretch"
    return f"{numbers.number(min(rates))}–{numbers.number(max(rates))}, stretches of {WINDOW}"


def rates(books: Sequence[Book], found: Sequence[Written], basis: Basis) -> Chart:
    """Tokens a second against context."""
    rows = [
        {"method": one.name, "context": context, "rate": rate}
        for one in found for context, rate in one.rates()
    ]  # fmt: skip
    return lines(
        rows,
        Axis("context", "Context (tokens)"),
        Axis("rate", "Tokens a second"),
        title=RATES,
        subtitle=f"Means of {WINDOW} tokens"
        + (" · measured here" if basis == "measured" else " · recorded"),
        slots=slots(books),
        marks=True,
    )


def memory(books: Sequence[Book], found: Sequence[Written]) -> Chart:
    """Bytes of a text's state against context: formula, and the arrays of this run."""
    rows: list[dict[str, Any]] = [
        {"method": book.name, "context": length, "state": state / 2**20, "predicted": True}
        for book in books for length in lengths(LONGEST)
        if (state := book.state_bytes(length)) is not None
    ]  # fmt: skip
    rows += [
        {"method": one.name, "context": one.room, "state": one.state / 2**20, "predicted": False}
        for one in found if one.room
    ]  # fmt: skip
    return lines(
        rows,
        Axis("context", "Context (tokens)", scale="log", words="count"),
        Axis("state", "MiB of state or cache", scale="log"),
        title=MEMORY,
        subtitle="One text · hollow: by formula, float32 · filled: arrays of this run, with "
        "room for all it may write",
        slots=slots(books),
        marks=True,
    )


def meter(books: Sequence[Book], found: Sequence[Written], knobs: Writing) -> SharesContent:
    """What holds the memory of each model: weights, and the state of the text."""
    by_name = {one.name: one for one in found}
    bars = []
    for book in books:
        one = by_name.get(book.name)
        weights, state = (book.weight_bytes(), book.state_bytes(knobs.tokens))
        basis: Basis = "predicted"
        if one is not None and one.weights:
            weights, state, basis = float(one.weights), float(one.state), "measured"
        if weights is None or state is None:
            continue
        parts = [
            Share("Weights", weights, numbers.memory(weights), basis),
            Share("State or cache", state, numbers.memory(state), basis),
        ]
        bars.append(Bar(book.name, parts, f"together {numbers.memory(weights + state)}"))
    return SharesContent(METER, bars, "Arrays of the model and of one text")
