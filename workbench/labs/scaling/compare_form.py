"""What the comparison asks: what methods share, which is the baseline, at what budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.scaling.laws.across import Across

COMPARE = "compare"
FIRST = "first"

SHARED: Mapping[str, tuple[str, ...]] = {
    "all": ("E", "alpha", "beta"),
    "exponents": ("alpha", "beta"),
    "nothing": (),
}


class Comparing(Knobs):
    """How methods are held against each other."""

    shared: Literal["all", "exponents", "nothing"] = knob(
        "all", label="Shared", static=True,
        choices={"all": "E, α, β", "exponents": "α, β", "nothing": "Nothing"},
        help="Parameters common to all methods. What is shared is known far better; with all three "
        "a gain is the same at every budget.",
    )  # fmt: skip
    baseline: str = FIRST
    ahead: float = knob(
        10.0, ge=0.001, le=100, scale="log", label="At compute", unit="×",
        help="The gain in figures is at so many times the compute of the largest run.",
    )  # fmt: skip
    resamples: int = knob(
        400, ge=0, le=4000, step=100, label="Resamples",
        help="Tables drawn anew, runs with replacement, for 95 % intervals.",
    )  # fmt: skip


PRESETS = (
    Preset("One shape, its own factors", {COMPARE: {"shared": "all"}}),
    Preset("Each method its own floor", {COMPARE: {"shared": "exponents"}}),
    Preset("Nothing in common", {COMPARE: {"shared": "nothing"}}),
)


def group(methods: Sequence[str]) -> KnobGroup:
    """The form for a table of these methods."""
    kinds: dict[str, Any] = {
        "baseline": (Literal[(FIRST, *methods)], knob(
            FIRST, label="Baseline", choices={FIRST: "The first"},
            help="The method the others are held against.",
        )),
    }  # fmt: skip
    return KnobGroup(COMPARE, "Methods", create_model("Methods", __base__=Comparing, **kinds))


def comparing(values: Values) -> Comparing:
    """How methods are compared."""
    knobs = values[COMPARE]
    assert isinstance(knobs, Comparing), "the form has this group"
    return knobs


def law_across(knobs: Comparing, methods: Sequence[str]) -> Across:
    """Chinchilla's law of several methods."""
    from workbench.scaling.laws import Across, Chinchilla

    return Across(tuple(methods), Chinchilla(), SHARED[knobs.shared])
