"""Blind comparison: sides drawn by chance, and from answers to a win rate with its interval."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from workbench.measure.intervals import Interval, share
from workbench.panels.picture import Content, PairsContent


class Sides:
    """Which picture of a pair goes left: drawn once, so that a reload cannot tell them apart."""

    def __init__(self, salt: int | None = None):
        self._salt = secrets.randbits(64) if salt is None else salt

    def swapped(self, slot: str, index: int) -> bool:
        """Whether the first picture of a pair stands right."""
        return Random(f"{self._salt}/{slot}/{index}").random() < 0.5

    def hidden(self, slot: str, content: PairsContent) -> PairsContent:
        """The pairs as they are shown, without names."""
        pairs = [
            replace(pair, first=pair.second, second=pair.first) if self.swapped(slot, i) else pair
            for i, pair in enumerate(content.pairs)
        ]
        return replace(content, pairs=pairs, names=("", ""))

    def told(self, slot: str, sides: Sequence[str]) -> list[str]:
        """Answers "left", "right", "same" as "first", "second", "same"."""
        return [
            "same" if side == "same"
            else "second" if (side == "right") != self.swapped(slot, index)
            else "first"
            for index, side in enumerate(sides)
        ]  # fmt: skip

    def answer(
        self, slot: str, content: PairsContent, given: Sequence[str], side: str
    ) -> dict[str, Any]:
        """All sides chosen so far, and the verdict once every pair has its answer.

        Args:
            side: "left", "right" or "same"; "again" starts over.
        """
        sides = [] if side == "again" else [*given, side][: len(content.pairs)]
        complete = len(sides) == len(content.pairs)
        verdict = sentence(self.told(slot, sides), content.names) if complete else ""
        return {"sides": sides, "verdict": verdict}


def answered(
    sides: Sides,
    contents: Mapping[str, Content],
    answers: Mapping[str, Any],
    message: Mapping[str, Any],
) -> dict[str, Any]:
    """The answers of all slots after one choice in the browser."""
    slot = str(message["slot"])
    content = contents.get(slot)
    if not isinstance(content, PairsContent):
        return dict(answers)
    given = answers.get(slot, {}).get("sides", [])
    return {**answers, slot: sides.answer(slot, content, given, str(message["side"]))}


def kept(
    answers: Mapping[str, Any], before: Mapping[str, Content], after: Mapping[str, Content]
) -> dict[str, Any]:
    """The answers whose pairs stay; new pairs are judged from the first one on.

    Args:
        before, after: contents of the picture on the screen and of the one that replaces it.
    """
    new = {slot for slot, content in after.items() if content != before.get(slot)}
    return {slot: given for slot, given in answers.items() if slot not in new}


def win_rate(answers: Sequence[str]) -> Interval:
    """Share won by the second method with its 95 % interval; "same" counts half a win.

    Args:
        answers: "first", "second" or "same", one per pair.
    """
    return share(answers.count("second") + 0.5 * answers.count("same"), len(answers))


def sentence(answers: Sequence[str], names: tuple[str, str]) -> str:
    """The win rate in words, and whether it decides anything."""
    rate = win_rate(answers)
    text = (
        f"{names[1]} wins {100 * rate.value:.0f} % of {rate.count} pairs against {names[0]} "
        f"(95 % interval {100 * rate.low:.0f}–{100 * rate.high:.0f} %)."
    )
    if rate.above(0.5):
        return f"{text} It looks better."
    if rate.below(0.5):
        return f"{text} It looks worse."
    return f"{text} These pairs do not decide it."
