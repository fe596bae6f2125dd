"""What the form of one's own block asks."""

from __future__ import annotations

from typing import Any, Literal

from workbench.labs.vision import machines
from workbench.labs.vision.form import RATES, SHOWN, WATER, Rates, Water
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob


class Place(Knobs):
    """Where the block stands."""

    channels: int = knob(
        64, ge=8, le=2048, step=8, scale="log", label="Channels", static=True,
        help="Of its input.",
    )  # fmt: skip
    pixels: int = knob(
        56, ge=1, le=512, label="Pixels", unit="px", static=True, scale="log",
        help="Height and width of its input.",
    )  # fmt: skip
    batch: int = knob(8, ge=1, le=1024, scale="log", label="Batch", help="Pictures at once.")
    device: Literal["here", "rtx3090", "h200", "tpu-v5e"] = knob(
        "here",
        label="Device",
        help="Whose peak and bandwidth the bounds are of. Times are always of this machine.",
        choices=dict(machines.NAMES),
    )


GROUPS = (
    KnobGroup(SHOWN, "The block’s place", Place),
    KnobGroup(RATES, "Peak", Rates),
    KnobGroup(WATER, "Waterline", Water),
)
PRESETS = (
    Preset("An early stage", {SHOWN: {"channels": 64, "pixels": 56}}),
    Preset("A late stage", {SHOWN: {"channels": 256, "pixels": 14}}),
    Preset(
        "On an H200, block-fused",
        {SHOWN: {"channels": 64, "pixels": 56, "batch": 128, "device": "h200"},
         WATER: {"kernels": "fused"}},
    ),
)  # fmt: skip


def place(values: Values) -> Any:
    """The form's first group."""
    return values[SHOWN]
