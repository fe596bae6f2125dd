"""What the training form asks: which models, at which size, on how much text, and a branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import create_model

from workbench.labs.language.models import NAMES, slot
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

RUNS, SHARED, BRANCH = "runs", "shared", "branch"
NOTHING = "none"

TRAINED = {**NAMES, "matmulfree": "MatMul-free"}
"""Kinds of `workbench.language.published.ladder` that are offered, and their names."""

FIRST = ("attention", "gla")
SIZES = {"10k": "10 k", "30k": "30 k", "100k": "100 k", "300k": "300 k", "1m": "1 M"}


class Shared(Knobs):
    """What all runs have alike, so that they differ in their mixers alone."""

    size: Literal["10k", "30k", "100k", "300k", "1m"] = knob(
        "100k", label="Parameters", choices=SIZES, static=True,
        help="Of each model: feed-forward layers take what a mixer leaves, so all have as many.",
    )  # fmt: skip
    context: int = knob(
        128, ge=16, le=2048, scale="log", label="Context", unit="B", static=True,
        help="Bytes of a row; nothing passes from one row to the next.",
    )  # fmt: skip
    batch: int = knob(
        16, ge=1, le=256, scale="log", label="Batch", unit="rows", static=True,
        help="Rows of an update.",
    )  # fmt: skip
    steps: int = knob(
        300, ge=10, le=20000, scale="log", label="Updates", help="Length of each run.",
    )  # fmt: skip
    rate: float = knob(
        3e-3, ge=1e-5, le=1e2, scale="log", label="Learning rate",
        help="Peak of a cosine after 5 % of warm-up. A change starts new runs; these stay.",
    )  # fmt: skip
    ternary: float = knob(
        4.0, ge=0.1, le=32, scale="log", label="Ternary rate", unit="×",
        help="Ternary weights want a higher rate, in two stages: this times the rate above.",
        source="MatMul-free LM §4, BitNet b1.58",
    )  # fmt: skip
    seed: int = knob(0, ge=0, le=2**31, label="Seed", help="Of weights and order, for every run.")


class BranchBase(Knobs):
    """Base of the branch's form; the runs it can start from are known when the panel opens."""

    of: str


def groups(mixers: Mapping[str, str]) -> tuple[KnobGroup, ...]:
    """The form.

    Args:
        mixers: mixers of one's own beside the known ones: key and name.
    """
    names = {**TRAINED, **mixers}
    chosen: dict[str, Any] = {
        kind: (
            bool,
            knob(kind in FIRST or kind in mixers, label=name, help=f"Whether {name} is trained."),
        )
        for kind, name in names.items()
    }
    runs = create_model("Runs", __base__=Knobs, **chosen)
    branch = create_model("Branch", __base__=BranchBase, **_branch(names))
    return (
        KnobGroup(RUNS, "Runs", runs, marks={kind: slot(name) for kind, name in names.items()}),
        KnobGroup(SHARED, "Shared", Shared),
        KnobGroup(BRANCH, "Branch", branch),
    )


def _branch(names: Mapping[str, str]) -> dict[str, Any]:
    only = {"of": tuple(names)}
    return {
        "of": (
            Literal[(NOTHING, *names)],
            knob(
                NOTHING, label="Go on from", choices={NOTHING: "No run", **names},
                help="The run whose last checkpoint the branch starts from; that run stays.",
            ),
        ),
        "steps": (
            int,
            knob(60, ge=1, le=20000, scale="log", label="More updates", visible_when=only,
                 help="Length of the branch."),
        ),
        "rate": (
            float,
            knob(1.0, ge=0.001, le=10, scale="log", label="Rate", unit="×", visible_when=only,
                 help="Its first learning rate, times the rate of the run it starts from."),
        ),
        "shape": (
            Literal["linear", "constant"],
            knob("linear", label="Then", choices={"linear": "Down to 0", "constant": "Constant"},
                 visible_when=only, help="Cooled down to 0, or held; moments of Adam start anew."),
        ),
    }  # fmt: skip


PRESETS = (
    Preset("GLA against attention", {RUNS: {"attention": True, "gla": True}}),
    Preset(
        "Ternary at a high rate",
        {RUNS: {"attention": False, "gla": True, "matmulfree": True}, SHARED: {"size": "100k"}},
    ),
    Preset(
        "A rate too high: stopped, then branched",
        {RUNS: {"attention": False, "gla": True}, SHARED: {"rate": 30.0, "steps": 200}},
    ),
)


def shared(values: Values) -> Shared:
    """What all runs have alike."""
    knobs = values[SHARED]
    assert isinstance(knobs, Shared), "the form has this group"
    return knobs


def kinds(values: Values) -> Sequence[str]:
    """The kinds that are chosen."""
    return [kind for kind, on in values[RUNS].model_dump().items() if on]


def branch(values: Values) -> dict[str, Any] | None:
    """The branch's settings; None without one."""
    found = values[BRANCH].model_dump()
    return None if found["of"] == NOTHING else found
