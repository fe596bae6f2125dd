"""What the planner asks: budgets, sizes, batches, the machine's speed, the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import create_model

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

PLAN = "plan"


class Planning(Knobs):
    """A grid of budgets and sizes; its bounds follow the runs there are."""

    first: float
    last: float
    budgets: int = knob(4, ge=1, le=12, label="Budgets", help="By ratio, from first to last.")
    smallest: float
    largest: float
    sizes: int = knob(8, ge=3, le=24, label="Sizes", help="By ratio, from smallest to largest.")
    batch: int = knob(
        65536, ge=64, le=16_777_216, scale="log", label="Batch", unit="tok",
        help="Tokens of an update; a run has a whole number of updates.",
    )  # fmt: skip
    speed: float = knob(
        4e14, ge=1e8, le=1e19, scale="log", label="FLOP a second",
        help="Achieved by all of your devices together; hours follow from it.",
    )  # fmt: skip
    devices: int = knob(1, ge=1, le=100_000, scale="log", label="Devices", help="That are paid.")
    price: float = knob(
        2.5, ge=0, le=1000, step=0.1, label="Price", unit="$/h",
        help="Of a device for an hour; yours, no figure of this project.",
    )  # fmt: skip
    target: float


def ends(smallest: float, largest: float) -> tuple[float, float]:
    """FLOPs between which budgets lie, for runs of these FLOPs."""
    return _two(0.01 * smallest), _two(1e4 * largest)


def group(smallest: float, largest: float, sizes: tuple[float, float]) -> KnobGroup:
    """The form for runs of these FLOPs and parameters."""
    low, high = ends(smallest, largest)

    def compute(value: float, label: str, help: str) -> Any:
        return (float, knob(_two(value), ge=low, le=high, scale="log", label=label,
                            unit="FLOP", help=help))  # fmt: skip

    def size(value: float, label: str) -> Any:
        low, high = _two(sizes[0] / 100), _two(1000 * sizes[1])
        return (float, knob(_two(value), ge=low, le=high, scale="log", label=label,
                            help="Parameters of a model of the grid."))  # fmt: skip

    kinds: dict[str, Any] = {
        "first": compute(largest, "First budget", "Of a run, the smallest of the plan."),
        "last": compute(10 * largest, "Last budget", "Of a run, the largest of the plan."),
        "smallest": size(sizes[0], "Smallest size"),
        "largest": size(3 * sizes[1], "Largest size"),
        "target": compute(100 * largest, "Decision at", "The next run is the one that tells most "
                          "of the best tokens at this budget, for its FLOPs."),
    }  # fmt: skip
    return KnobGroup(PLAN, "Plan", create_model("Plan", __base__=Planning, **kinds))


def presets(largest: float) -> Sequence[Preset]:
    """Starting points for runs of which the largest has these FLOPs."""
    ten = {"first": _two(largest), "last": _two(10 * largest)}
    return (
        Preset("One decade further", {PLAN: {**ten, "budgets": 4}}),
        Preset("A single larger budget", {PLAN: {"first": ten["last"], "last": ten["last"],
                                                 "budgets": 1}}),
        Preset("Few sizes", {PLAN: {**ten, "sizes": 4}}),
    )  # fmt: skip


def planning(values: Values) -> Planning:
    """The grid."""
    knobs = values[PLAN]
    assert isinstance(knobs, Planning), "the form has this group"
    return knobs


def _two(value: float) -> float:
    return float(f"{value:.2g}")
