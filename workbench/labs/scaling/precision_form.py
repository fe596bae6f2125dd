"""What the precision page asks: memory and data, which parts are quantised, and a QAT run."""

from __future__ import annotations

from typing import Literal

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

PRECISION, TRAINING = "precision", "qat"


class Precision(Knobs):
    """A memory cap for weights, and the data they are trained on."""

    cap: float = knob(
        0.25, ge=1e-3, le=1000, scale="log", label="Weight memory", unit="GiB",
        help="Fewer bits leave room for more parameters, each of which is worth less.",
    )  # fmt: skip
    tokens: float = knob(
        2e10, ge=1e8, le=1e14, scale="log", label="Tokens",
        help="Trained on. The law’s runs saw up to 26 B.",
    )  # fmt: skip
    parts: Literal["w", "all"] = knob(
        "all", label="Quantised", choices={"w": "Weights", "all": "All"},
        help="Weights alone, or activations and cached keys and values as well, with the same "
        "bits; the rest has 16.", source="Kumar et al. 2024, §4",
    )  # fmt: skip


class Quantising(Knobs):
    """A run that ends with quantisation-aware training."""

    size: float = knob(
        4e8, ge=1e6, le=1e13, scale="log", label="Parameters", help="Of the model.",
    )  # fmt: skip
    tokens: float = knob(
        4e10, ge=1e7, le=1e15, scale="log", label="Tokens",
        help="All of them, in full precision and quantised.",
    )  # fmt: skip
    bits: int = knob(4, ge=1, le=8, label="Bits", help="Of a weight while it is quantised.")


GROUPS = (
    KnobGroup(PRECISION, "Bits under a memory cap", Precision),
    KnobGroup(TRAINING, "Share of QAT", Quantising),
)

PRESETS = (
    Preset("A quarter GiB of weights", {PRECISION: {"cap": 0.25, "tokens": 2e10}}),
    Preset("Thirty times the data", {PRECISION: {"cap": 0.25, "tokens": 6e11}}),
    Preset("Weights alone, a phone", {PRECISION: {"cap": 2.0, "tokens": 1e12, "parts": "w"}}),
)


def capped(values: Values) -> Precision:
    """Memory and data."""
    knobs = values[PRECISION]
    assert isinstance(knobs, Precision), "the form's first group"
    return knobs


def quantising(values: Values) -> Quantising:
    """The run with QAT."""
    knobs = values[TRAINING]
    assert isinstance(knobs, Quantising), "the form's second group"
    return knobs
