"""The training panel's picture: curves against bytes, seconds and arithmetic, and the runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.panels.picture import Cell, Column, TableContent, Verdict

LEARNING = "Which mixer learns more from the same bytes?"
DIVERGED = 12.0
"""Bits per byte, half more than of no model at all, above which a curve is left out."""

SMOOTH = 5
"""Logged rows in a mean of the training loss."""


@dataclass(frozen=True)
class Curve:
    """One run as it is shown, live or recorded.

    Attributes:
        rows: of the run: `step`, `loss` in nats a byte, `evaluation.bits_per_byte` on some.
        state: in a word; `words` says more where it stopped.
        step, steps: how far, and how many.
        seconds: of one update, compilation left out; None where it was not timed.
        flops, bytes: of one update.
        offset: updates before its first, for a branch.
        key: what a click on its row branches from.
    """

    name: str
    slot: int
    rows: Sequence[Mapping[str, Any]]
    state: str
    step: int
    steps: int
    parameters: int
    flops: float
    bytes: int
    seconds: float | None = None
    offset: int = 0
    words: str = ""
    key: str = ""
    parent: str = field(default="")

    def record(self) -> dict[str, Any]:
        """Plain values from which `Curve(**record)` makes it again."""
        return asdict(self)

    @property
    def label(self) -> str:
        """Name at the end of its line."""
        return f"{self.name} stopped" if self.state == "stopped" else self.name

    @property
    def best(self) -> float | None:
        """Bits per byte of held-out text, as last evaluated."""
        found = [value for _, value in self.held_out()]
        return found[-1] if found else None

    def held_out(self) -> list[tuple[int, float]]:
        """Updates and bits per byte of held-out text."""
        name = "evaluation.bits_per_byte"
        return [
            (self.offset + int(row["step"]), float(row[name]))
            for row in self.rows
            if isinstance(row.get(name), int | float) and math.isfinite(row[name])
        ]

    def learning(self) -> list[tuple[int, float]]:
        """Updates and bits per byte of training text, means of a few logged rows."""
        known = [
            (int(row["step"]), float(row["loss"]) / math.log(2))
            for row in self.rows
            if isinstance(row.get("loss"), int | float) and math.isfinite(row["loss"])
        ]
        found = []
        for at, (step, _) in enumerate(known):
            near = [value for _, value in known[max(0, at - SMOOTH + 1) : at + 1]]
            if sum(near) / len(near) <= DIVERGED:
                found.append((self.offset + step, sum(near) / len(near)))
        return found


def learning(curves: Sequence[Curve], about: str) -> Chart:
    """Training loss against bytes seen."""
    rows = [
        {"method": one.name, "megabytes": step * one.bytes / 1e6, "bits": bits}
        for one in curves for step, bits in one.learning()
    ]  # fmt: skip
    return lines(
        rows,
        Axis("megabytes", "Training text seen (MB)"),
        Axis("bits", "Bits per byte, training text"),
        title=LEARNING,
        subtitle=f"{about} · means of {SMOOTH} logged updates, up to {DIVERGED:g} bits",
        names={one.name: one.label for one in curves},
        slots=_slots(curves),
        height=270,
    )


def against_seconds(curves: Sequence[Curve]) -> Chart:
    """Held-out bits per byte against computing time."""
    rows = [
        {"method": one.name, "seconds": _elapsed(one, step, curves), "bits": bits}
        for one in curves if one.seconds is not None for step, bits in one.held_out()
        if bits <= DIVERGED
    ]  # fmt: skip
    return lines(
        rows,
        Axis("seconds", "Seconds of its own turns"),
        Axis("bits", "Bits per byte, held-out text"),
        title="And from the same seconds?",
        subtitle="Updates times their mean time on the device named below; compiling left out",
        slots=_slots(curves),
        marks=True,
    )


def against_flops(curves: Sequence[Curve]) -> Chart:
    """Held-out bits per byte against arithmetic."""
    rows = [
        {"method": one.name, "flops": step * one.flops / 1e12, "bits": bits}
        for one in curves for step, bits in one.held_out() if bits <= DIVERGED
    ]  # fmt: skip
    return lines(
        rows,
        Axis("flops", "Arithmetic by formula (Tflop)"),
        Axis("bits", "Bits per byte, held-out text"),
        title="And from the same arithmetic?",
        subtitle="Three times the forward pass, weights and mixing",
        slots=_slots(curves),
        marks=True,
    )


def _elapsed(one: Curve, step: int, curves: Sequence[Curve]) -> float | None:
    """Seconds up to an update; those before a branch are of the run it goes on from."""
    before = next((c.seconds for c in curves if c.name == one.parent), one.seconds)
    if one.seconds is None or before is None:
        return None
    return one.offset * before + (step - one.offset) * one.seconds


def _slots(curves: Sequence[Curve]) -> dict[str, int]:
    return {one.name: one.slot for one in curves}


WORDS = {
    "waiting": "Waiting", "running": "Running", "paused": "Paused", "new": "Not begun",
    "done": "Done", "stopped": "Stopped", "failed": "Failed", "recorded": "Recorded",
}  # fmt: skip


def table(curves: Sequence[Curve], text_bytes: int) -> TableContent:
    """The runs: state, progress, bits per byte, rate, and how often they saw the text.

    Args:
        text_bytes: unique bytes of the training text.
    """
    rows: list[list[Cell | str]] = []
    for one in curves:
        rate = "–" if one.seconds is None else numbers.number(one.bytes / one.seconds)
        seen = one.step * one.bytes
        verdict: Verdict | None = "failed" if one.state in ("stopped", "failed") else None
        state = WORDS.get(one.state, one.state)
        rows.append([
            Cell(one.name, method=one.slot),
            Cell(state, verdict=verdict, note=one.words),
            Cell(f"{one.step} of {one.steps}", one.slot, share=one.step / one.steps),
            Cell(numbers.number(one.best), strong=True) if one.best is not None else "–",
            numbers.count(one.parameters),
            rate,
            numbers.number(seen / text_bytes) if text_bytes else "–",
        ])  # fmt: skip
    heads = (
        Column("Run"), Column("State", wrap=True), Column("Update"),
        Column("Bits / byte", number=True), Column("Parameters", number=True, optional=True),
        Column("Bytes / s", number=True, optional=True), Column("Epochs", number=True),
    )  # fmt: skip
    about = (
        "Bits per byte of held-out text. "
        + (f"{numbers.count(text_bytes)} unique bytes of training text. " if text_bytes else "")
        + "Stop pauses with a checkpoint and Train goes on from it; a click branches from a run."
    )
    keys = [one.key for one in curves]
    return TableContent(heads, rows, "How far are they?", about, keys=keys if all(keys) else ())


def finding(curves: Sequence[Curve]) -> str:
    """One line for the status: what stopped, or the least bits per byte."""
    stopped = [one for one in curves if one.state == "stopped"]
    if stopped:
        return f"{stopped[0].name}: {stopped[0].words}"
    known = [(one.best, one.name) for one in curves if one.best is not None]
    return f"least: {min(known)[1]}, {numbers.number(min(known)[0])} bits" if known else ""
