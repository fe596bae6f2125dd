"""What the form of "where does linear win" asks: a width, a pass, a device, and which mixers."""

from __future__ import annotations

from typing import Literal

from workbench.labs.language.models import NAMES, SLOTS
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

LAYER, MIXERS = "layer", "mixers"


class Shape(Knobs):
    """One layer, and where it would run."""

    direction: Literal["text", "token"] = knob(
        "text",
        label="Pass",
        help="A whole text at once, as in training and for a prompt; or one more token after it.",
        choices={"text": "Whole text", "token": "Next token"},
        static=True,
    )
    device: Literal["h100", "h200", "tpu-v6e", "here"] = knob(
        "h100",
        label="Device",
        help="Whose peak rates make the bound; this machine is timed as well.",
        choices={"h100": "NVIDIA H100", "h200": "NVIDIA H200", "tpu-v6e": "TPU v6e",
                 "here": "This machine"},
    )  # fmt: skip
    width: int = knob(
        1024, ge=64, le=4096, step=64, scale="log", label="Width", static=True, paper=1024,
        help="Of the model; heads follow from it as in the papers.",
        source="GLA §5.1, 340M",
    )  # fmt: skip
    longest: int = knob(
        32768, ge=256, le=262144, scale="log", label="Longest context", unit="tok",
        help="How far the formulas are drawn.",
    )  # fmt: skip
    cache: Literal["2", "4"] = knob(
        "2",
        label="Cache type",
        help="Of kept keys and values; states of recurrences are float32 always.",
        choices={"2": "bfloat16", "4": "float32"},
    )
    seconds: float = knob(
        2.0, ge=0.1, le=60, scale="log", label="Timed up to", unit="s",
        help="A layer is timed at twice the context until one call takes this long.",
    )  # fmt: skip


def _shown(kind: str, on: bool) -> bool:
    return knob(on, label=NAMES[kind], help=f"Whether {NAMES[kind]} is drawn.")


class Mixers(Knobs):
    """Which mixers are beside the Transformer's attention, which always is."""

    gla: bool = _shown("gla", True)
    mlgru: bool = _shown("mlgru", True)
    retnet: bool = _shown("retnet", False)
    mamba2: bool = _shown("mamba2", True)
    hgrn2: bool = _shown("hgrn2", False)
    gated_delta_net: bool = _shown("gated_delta_net", True)
    delta_net: bool = _shown("delta_net", False)


GROUPS = (
    KnobGroup(LAYER, "One layer", Shape),
    KnobGroup(
        MIXERS, "Beside Transformer++", Mixers,
        marks={kind: SLOTS[NAMES[kind]] for kind in Mixers.model_fields},
    ),
)  # fmt: skip

PRESETS = (
    Preset("A layer of 340M on an H100", {LAYER: {"device": "h100", "width": 1024}}),
    Preset(
        "This machine, by formula and clock",
        {LAYER: {"device": "here", "width": 256, "longest": 8192, "cache": "4"}},
    ),
    Preset(
        "One more token of 1.3B, to 256 K",
        {LAYER: {"direction": "token", "width": 2048, "longest": 262144}},
    ),
)


def shape(values: Values) -> Shape:
    """The layer's settings."""
    knobs = values[LAYER]
    assert isinstance(knobs, Shape), "the form's first group"
    return knobs


def kinds(values: Values) -> list[str]:
    """Kinds of the mixers that are drawn, attention first."""
    chosen = values[MIXERS].model_dump()
    return ["attention", *(kind for kind in NAMES if chosen.get(kind))]
