"""What the decision page asks: a budget, how far to over-train, tokens to serve, and a machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import create_model

from workbench.measure.roofline import PEAKS
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

DECISION, MACHINE, PLACEMENT = "decision", "machine", "placement"

TRAINERS = {
    key: peaks.name.removeprefix("NVIDIA ").removeprefix("GeForce ").removesuffix(" SXM")
    for key, peaks in PEAKS.items()
    if "bfloat16" in peaks.flops_per_s
}

COUNTED = {"adam": "16 bytes", "deepspeed": "18 bytes", "zero-infinity": "20 bytes",
           "frontier": "24 bytes"}  # fmt: skip


SERVED = (1e6, 1e17)
"""Tokens that a form can ask for."""


class Decision(Knobs):
    """Base of the budget; budgets and tokens served come with the runs."""

    compute: float
    factor: float = knob(
        4.0, ge=1, le=100, scale="log", label="Over-training", unit="×",
        help="Tokens a parameter over the best: a smaller model, trained for longer.",
        source="Gadre et al. 2024",
    )  # fmt: skip
    served: float


class Machine(Knobs):
    """What would train it."""

    device: Literal["h200", "h100", "rtx3090", "tpu-v5e", "tpu-v6e"] = knob(
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
        "DeepSpeed and ZeRO-Infinity count.",
    )  # fmt: skip


class Placement(Knobs):
    """How a run lies on the devices."""

    zero: Literal["0", "1", "2", "3"] = knob(
        "3", label="ZeRO stage",
        choices={"0": "0: nothing", "1": "1: moments", "2": "2: gradients", "3": "3: weights"},
        help="What devices split between them: nothing, the optimiser’s moments, gradients as "
        "well, weights as well.", source="Rajbhandari et al. 2020, arXiv 1910.02054",
    )  # fmt: skip
    recompute: bool = knob(
        False, label="Recompute",
        help="Keep a layer’s input alone and compute the layer again for the backward pass: four "
        "passes of arithmetic instead of three.", source="ZeRO-Infinity; Megatron-LM",
    )  # fmt: skip
    stages: int = knob(
        1, ge=1, le=128, scale="log", label="Pipeline stages",
        help="Parts of the model one after another; the devices are idle (p − 1) / m of the time.",
        source="Narayanan et al. 2021, §2.2",
    )  # fmt: skip
    interleaved: int = knob(
        1, ge=1, le=16, scale="log", label="Interleaved",
        help="Pieces of the model on each stage: v of them divide the idle time by v, and keep "
        "1 + (p − 1) / (p v) times the activations.", source="Narayanan et al. 2021, §2.2",
    )  # fmt: skip
    tensor: int = knob(
        1, ge=1, le=64, scale="log", label="Tensor parallel",
        help="Devices that share every layer, and norms by the row’s tokens. What they exchange "
        "slows them: it is part of the share of the peak.", source="Korthikanti et al. 2022, §4.2",
    )  # fmt: skip
    length: int = knob(
        2048, ge=16, le=131072, scale="log", label="Row", unit="tok", help="Tokens of a row.",
    )  # fmt: skip
    rows: int = knob(
        1, ge=1, le=256, scale="log", label="Rows at once", help="Of a micro-batch on one replica.",
    )  # fmt: skip
    batch: int = knob(
        1024, ge=1, le=65536, scale="log", label="Rows a step",
        help="Of all replicas together; a replica without a micro-batch has no work.",
    )  # fmt: skip


def ends(smallest: float, largest: float, to: float | None = None) -> tuple[float, float]:
    """FLOPs at which the slider of runs of these FLOPs begins and ends; arguments as of `groups`.

    It ends two decades above the largest run, and is no shorter than one.
    """
    low = 10.0 ** math.floor(math.log10(smallest))
    return low, max(100 * largest if to is None else to, 10 * low)


def groups(
    smallest: float, largest: float, to: float | None, unique: float | None = None
) -> tuple[KnobGroup, ...]:
    """The form for runs of these FLOPs: the slider ends two decades above the largest.

    Args:
        to: FLOPs at which it ends instead.
        unique: tokens there are, where the law tells them from repeated ones.
    """
    low, high = ends(smallest, largest, to)
    kinds: dict[str, Any] = {
        "compute": (float, knob(
            max(_at_most(10 * largest, high), low), ge=low, le=high, scale="log",
            label="Compute", unit="FLOP",
            help=f"Training budget. The largest run has {largest:.2g}: what lies beyond is "
            "extrapolated.",
        )),
    }  # fmt: skip
    if unique is not None:
        kinds["unique"] = (float, knob(
            float(f"{unique:.2g}"), ge=1e3, le=1e16, scale="log", label="Unique tokens",
            help="There are so many; the law says what seeing them again is worth.",
            source="Muennighoff et al. 2023",
        ))  # fmt: skip
    kinds["served"] = (float, knob(
        served(min(10 * largest, high)),
        ge=SERVED[0], le=SERVED[1], scale="log", label="Tokens served",
        help="Over the model’s life, at 2 FLOP a parameter. It begins at twenty times what "
        "Chinchilla’s twenty tokens a parameter would have it trained on.",
        source="Sardana et al. 2023",
    ))  # fmt: skip
    return (
        KnobGroup(DECISION, "Decision", create_model("Decision", __base__=Decision, **kinds)),
        KnobGroup(MACHINE, "Machine", Machine),
        KnobGroup(PLACEMENT, "Placement", Placement),
    )


def served(compute: float, times: float = 20.0) -> float:
    """Tokens a model answers with: so many times its training by twenty tokens a parameter.

    A power of ten, within the form's bounds.
    """
    near = round(math.log10(times * math.sqrt(20 * compute / 6)))
    return min(max(10.0**near, SERVED[0]), SERVED[1])


def presets(largest: float, to: float | None) -> Sequence[Preset]:
    """Starting points for runs of which the largest has these FLOPs."""
    most = to or 100 * largest
    ten, far = (_at_most(times * largest, most) for times in (10, 100))
    many = served(ten, 2000)
    return (
        Preset("Ten times the largest run", {DECISION: {"compute": ten}}),
        Preset("A model for many readers", {DECISION: {"compute": ten, "served": many}}),
        Preset("Two decades beyond the runs", {DECISION: {"compute": far}}),
    )


def _at_most(value: float, most: float) -> float:
    """A value of two figures, no larger than the most."""
    return min(float(f"{value:.2g}"), most)


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


def placement(values: Values) -> Placement:
    """How the run lies on the machine."""
    knobs = values[PLACEMENT]
    assert isinstance(knobs, Placement), "the form has this group"
    return knobs


def unique_tokens(values: Values) -> float | None:
    """The tokens there are; None where the law does not read them."""
    found = getattr(decision(values), "unique", None)
    return None if found is None else float(found)
