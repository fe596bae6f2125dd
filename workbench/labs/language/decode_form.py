"""What the decoding form asks: which models, what to go on from, and how tokens are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import create_model

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

TEXT, MODELS = "text", "models"
NONE = "none"
"""The choice of no second model."""


class Writing(Knobs):
    """A prompt, and how its continuation is drawn."""

    prompt: str = knob(
        "The function returns a list of ",
        label="Prompt",
        help="What the models go on from.",
        lines=4,
    )
    tokens: int = knob(
        200, ge=1, le=4096, scale="log", label="Tokens", unit="tok", help="How many are written.",
    )  # fmt: skip
    temperature: float = knob(
        0.8, ge=0, le=2, step=0.1, label="Temperature",
        help="Divides the logits before the draw; 0 takes the likeliest token each time.",
    )  # fmt: skip
    top_k: int = knob(
        0, ge=0, le=1000, label="Top k", help="Draw among the k likeliest tokens; 0: among all.",
    )  # fmt: skip
    top_p: float = knob(
        1.0, ge=0.05, le=1, step=0.05, label="Top p",
        help="Draw among the likeliest tokens that hold this share of the chance.",
        source="Holtzman et al. 2019, §3.1",
    )  # fmt: skip
    seed: int = knob(0, ge=0, le=2**31, label="Seed", help="Of the draws; the same for both.")


class Two(Knobs):
    """Base of the choice of two models; their names are known when the panel opens."""

    first: str
    second: str


def groups(names: Sequence[str]) -> tuple[KnobGroup, ...]:
    """The form for models of these names; without a choice of models where there is none."""
    writing = KnobGroup(TEXT, "Text", Writing)
    if not names:
        return (writing,)
    kinds: dict[str, Any] = {
        "first": (
            Literal[tuple(names)],
            knob(names[0], label="Model", help="The model that writes."),
        ),
        "second": (
            Literal[(NONE, *names)],
            knob(
                names[1] if len(names) > 1 else NONE,
                label="Beside it",
                help="A second model, given the same prompt, token by token in turns.",
                choices={NONE: "None"},
            ),
        ),
    }
    chosen = create_model("Models", __base__=Two, **kinds)
    return KnobGroup(MODELS, "Models", chosen), writing


PRESETS = (
    Preset("As likely as it thinks", {TEXT: {"temperature": 1.0}}),
    Preset("The likeliest, every time", {TEXT: {"temperature": 0.0}}),
    Preset("A long text: which one slows down", {TEXT: {"tokens": 2000, "temperature": 0.8}}),
)


def writing(values: Values) -> Writing:
    """Prompt and draws."""
    knobs = values[TEXT]
    assert isinstance(knobs, Writing), "the form has this group always"
    return knobs


def chosen(values: Values) -> list[str]:
    """Names of the one or two models that write; empty where there is none."""
    if MODELS not in values:
        return []
    fields = values[MODELS].model_dump()
    pair = [fields["first"], fields["second"]]
    return list(dict.fromkeys(name for name in pair if name != NONE))
