"""Pins: settings kept beside what follows, at most four, each with a letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.panels import settings
from workbench.panels.marks import slot_of
from workbench.panels.view import Values, View

LETTERS = "ABCD"


class Pins:
    """Pinned settings by letter, with the name and mark of their chips."""

    def __init__(self, view: View):
        self._view = view
        self._kept: dict[str, Values] = {}

    @property
    def values(self) -> Mapping[str, Values]:
        """Settings by letter, in order."""
        return self._kept

    def add(self, values: Values) -> None:
        """Keep `values` under the first free letter, once; a fifth pin is not taken."""
        free = [letter for letter in LETTERS if letter not in self._kept]
        if free and values not in self._kept.values():
            self._kept = dict(sorted({**self._kept, free[0]: values}.items()))

    def remove(self, letter: str) -> None:
        self._kept = {name: values for name, values in self._kept.items() if name != letter}

    def chips(self) -> list[dict[str, Any]]:
        """What the browser shows: letter, the setting that differs, mark slot."""
        return [self._chip(letter, values) for letter, values in self._kept.items()]

    def _chip(self, letter: str, values: Values) -> dict[str, Any]:
        active = self._view.hints(values).active
        slots = [slot_of(group.method) for group in self._view.groups if group.id in active]
        label = self._view.pin_label(values)
        return {
            "letter": letter,
            "label": label or settings.pin_label(self._view.groups, values, active),
            "mark": next((slot for slot in slots if slot is not None), 0),
        }
