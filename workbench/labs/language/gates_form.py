"""What the gate explorer asks: a model, a text, a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import create_model

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

GATES, MODEL = "gates", "model"

PROSE = (
    "The garbage collector keeps a list of every object that can hold references to others. When "
    "the number of new objects passes a threshold, it looks for groups of objects that refer only "
    "to each other, and frees them. Objects that survive are moved to an older list, which is "
    "looked at less often. A program may switch the collector off, or ask for a collection."
)
CODE = (
    "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n\n\ndef variance(values):\n    centre = mean(values)\n"
    "    return mean([(value - centre) ** 2 for value in values])\n"
)
LIST = "one, two, three, four, five, six, seven, eight, nine, ten, " * 6


class Looking(Knobs):
    """A text, and the layer that is looked at closely."""

    layer: int = knob(
        1, ge=1, le=64, label="Layer", help="Whose channels and tokens are shown in full.",
    )  # fmt: skip
    text: str = knob(
        PROSE, label="Text", help="What the gates are computed on; they depend on it.", lines=8,
    )  # fmt: skip


def groups(names: Sequence[str]) -> tuple[KnobGroup, ...]:
    """The form for models of these names."""
    looking = KnobGroup(GATES, "Gates", Looking)
    if not names:
        return (looking,)
    kinds: dict[str, Any] = {
        "name": (
            Literal[tuple(names)],
            knob(names[0], label="Model", help="Whose gates are looked at."),
        )
    }
    return KnobGroup(MODEL, "Model", create_model("Model", __base__=Knobs, **kinds)), looking


PRESETS = (
    Preset("Prose: what lasts beyond a sentence", {GATES: {"text": PROSE, "layer": 1}}),
    Preset("Code: lines and names", {GATES: {"text": CODE, "layer": 1}}),
    Preset("A list that repeats", {GATES: {"text": LIST, "layer": 1}}),
)


def looking(values: Values) -> Looking:
    """Text and layer."""
    knobs = values[GATES]
    assert isinstance(knobs, Looking), "the form has this group always"
    return knobs


def model_name(values: Values) -> str:
    """The chosen model; empty where there is none."""
    return str(values[MODEL].model_dump()["name"]) if MODEL in values else ""
