"""What the decision page asks: a budget, how far to over-train, tokens to serve, and a machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import create_model

from workbench.measure.roofline import PEAKS
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

DECISION, MACHINE = "decision", "machine"

TRAINERS = {
    key: peaks.name.removeprefix("NVIDIA ").removeprefix("GeForce ").removesuffix(" SXM")
    for key, peaks in PEAKS.items()
    if "bfloat16" in peaks.flops_per_s
}

COUNTED = {"adam": "16 bytes", "deepspeed": "18 bytes", "zero-infinity": "20 bytes",
           "frontier": "24 bytes"}  # fmt: skip


class Decision(Knobs):
    """Base of the budget; its bounds are those of the runs."""

    compute: float
    factor: float = knob(
        4.0, ge=1, le=100, scale="log", label="Over-training", unit="×",
        help="Tokens a parameter over the best: a smaller model, trained for longer.",
        source="Gadre et al. 2024",
    )  # fmt: skip
    served: float = knob(
        1e12, ge=1e6, le=1e17, scale="log", label="Tokens served",
        help="Over the model’s life, at 2 FLOP a parameter.", source="Sardana et al. 2023",
    )  # fmt: skip


class Machine(Knobs):
    """What would train it."""

    device: Literal[tuple(TRAINERS)] = knob(  # type: ignore[valid-type]
        "h100", label="Device", choices=TRAINERS,
        help="Whose peak rate in bfloat16 the share is of.",
    )  # fmt: skip
    devices: int = knob(8, ge=1, le=100_000, scale="log", label="Devices", help="Side by side.")
    share: float = knob(
        40.0, ge=1, le=100, label="Utilisation", unit="%",
        help="Achieved over peak rate: measure it, or take a published run like yours.",
    )  # fmt: skip
    price: float = knob(
        2.5, ge=0, le=1000, step=0.1, label="Price", unit="$/h",
        help="Of a device for an hour; yours, no figure of this project.",
    )  # fmt: skip
    state: Literal["adam", "deepspeed", "zero-infinity", "frontier"] = knob(
        "adam", label="State a param", choices=COUNTED,
        help="Weights, gradients and moments: 16 bytes for Adam in mixed precision, 18 and 20 as "
        "DeepSpeed and ZeRO-Infinity count; spread over all devices, activations on top.",
    )  # fmt: skip


def groups(smallest: float, largest: float, to: float | None) -> tuple[KnobGroup, ...]:
    """The form for runs of these FLOPs: the slider ends two decades above the largest.

    Args:
        to: FLOPs at which it ends instead.
    """
    low = 10.0 ** math.floor(math.log10(smallest))
    high = to if to is not None else 10.0 ** math.ceil(math.log10(100 * largest) - 1e-9)
    kinds: dict[str, Any] = {
        "compute": (float, knob(
            float(f"{min(10 * largest, high):.2g}"), ge=low, le=max(high, 10 * low), scale="log",
            label="Compute", unit="FLOP",
            help=f"Training budget. The largest run has {largest:.2g}: what lies beyond is "
            "extrapolated.",
        )),
    }  # fmt: skip
    return (
        KnobGroup(DECISION, "Decision", create_model("Decision", __base__=Decision, **kinds)),
        KnobGroup(MACHINE, "Machine", Machine),
    )


def presets(largest: float, to: float | None) -> Sequence[Preset]:
    """Starting points for runs of which the largest has these FLOPs."""
    most = to or 100 * largest
    ten, far = (float(f"{min(times * largest, most):.2g}") for times in (10, 100))
    return (
        Preset("Ten times the largest run", {DECISION: {"compute": ten}}),
        Preset("A model for many readers", {DECISION: {"compute": ten, "served": 1e14}}),
        Preset("Two decades beyond the runs", {DECISION: {"compute": far}}),
    )


def decision(values: Values) -> Decision:
    """The budget."""
    knobs = values[DECISION]
    assert isinstance(knobs, Decision), "the form has this group"
    return knobs


def machine(values: Values) -> Machine:
    """The machine."""
    knobs = values[MACHINE]
    assert isinstance(knobs, Machine), "the form has this group"
    return knobs
