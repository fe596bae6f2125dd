"""The form of the students' page: which are drawn, and by what they are judged."""

from __future__ import annotations

from typing import Any, Literal

from workbench.diffusion.students.verdict import METRICS
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

ONE_PASS, RIVALS, STUDY = "one_pass", "rivals", "study"


class OnePassKnobs(Knobs):
    """TiUE's student."""

    passes: Literal[1, 2, 4] = knob(
        4,
        label="Decoders",
        help="K: timesteps the decoder sees, all in one batch, after one encoder pass on noise. "
        "Each K has weights of its own.",
        paper=4,
        source="TiUE, arXiv 2505.21960",
        choices={1: "K = 1", 2: "K = 2", 4: "K = 4"},
    )


class RivalKnobs(Knobs):
    """What was trained on the same teacher with as many multiply-adds."""

    steps: int = knob(
        4,
        ge=1,
        le=8,
        unit="steps",
        label="Consistency",
        help="Steps of the consistency student, one after another; one network for all of them.",
        paper=4,
        source="LCM, arXiv 2310.04378 §5",
    )
    teacher: int = knob(
        50,
        ge=2,
        le=100,
        unit="steps",
        label="Teacher",
        help="DDIM steps of the teacher; its guidance doubles each of them.",
    )


class StudyKnobs(Knobs):
    """What the study of three seeds is asked."""

    metric: Literal[
        "agreement", "diversity_ratio", "pixel_diversity_ratio", "toy_fid", "kernel_distance"
    ] = knob(
        "toy_fid",
        label="Metric",
        help="Judged by the digits’ classifier: share of pictures that show the class asked for; "
        "mean distance within a class over that of real digits; distances to real digits.",
        choices={name: words for name, (words, _) in METRICS.items()},
    )
    cost: Literal["macs", "seconds"] = knob(
        "macs",
        label="Against",
        help="Operations are counted; seconds were measured with eight pictures at once.",
        choices={"macs": "operations", "seconds": "seconds"},
    )


GROUPS = (
    KnobGroup(ONE_PASS, "One pass", OnePassKnobs, method=2),
    KnobGroup(RIVALS, "Beside it", RivalKnobs),
    KnobGroup(STUDY, "Study of three seeds", StudyKnobs),
)
PRESETS = (
    Preset("One pass, four decoders", {}),
    Preset(
        "One network pass each",
        {ONE_PASS: {"passes": 1}, RIVALS: {"steps": 1}, STUDY: {"metric": "agreement"}},
    ),
    Preset("Does λ keep diversity?", {STUDY: {"metric": "diversity_ratio", "cost": "seconds"}}),
)


def names(values: Values) -> tuple[str, ...]:
    """What is drawn: the teacher, the one-pass student, the consistency and the one-step one."""
    one: Any = values[ONE_PASS]
    rivals: Any = values[RIVALS]
    plural = "s" if rivals.steps > 1 else ""
    return (
        f"teacher, {rivals.teacher} steps",
        f"one pass, K = {one.passes}",
        f"consistency, {rivals.steps} step{plural}",
        "one step, regression",
    )


def slot(name: str) -> int:
    """Hue and mark of an arm by its name."""
    if name.startswith("teacher"):
        return 0
    if name.startswith("one pass"):
        return 2
    return 1 if name.startswith("consistency") else 3
