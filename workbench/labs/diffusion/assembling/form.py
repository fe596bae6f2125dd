"""The form of model assembly: which UNet, what is dropped, and when it hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workbench.diffusion.assembly.dropping import DropError, kept
from workbench.diffusion.assembly.presets import dropped_by
from workbench.labs.diffusion.assembling.composed import METRICS
from workbench.labs.diffusion.assembling.networks import (
    DIGITS,
    NAMES,
    SD15,
    TD4,
    Network,
    network,
)
from workbench.panels.view import KnobGroup, Preset, Problem, Values
from workbench.study.knobs import Knobs, knob

UNET, STUDENT, SWITCH, STUDY = "unet", "student", "switching", "study"
WHOLE, OWN = "whole", "own"


class UNetKnobs(Knobs):
    """The network that is cut."""

    model: Literal["sd15", "sd21", "sdxl", "td4", "digits"] = knob(
        DIGITS,
        label="UNet",
        help="The shipped digits can be drawn with; the others are counted. The two of SDXL’s form "
        "are those of the scalability study, at latents of 32 × 32 and a text of width 1024.",
        source="arXiv 2404.02883, table 1",
        choices=NAMES,
    )


class StudentKnobs(Knobs):
    """What of it goes."""

    preset: Literal["whole", "base", "small", "tiny", "own"] = knob(
        "base",
        label="Dropped",
        help="BK-SDM’s cuts: fewer layers; no middle block either; no innermost stage either. "
        "Click blocks in the diagram for a cut of your own.",
        source="BK-SDM, arXiv 2305.15798 §3.1",
        choices={
            "whole": "nothing",
            "base": "base",
            "small": "small",
            "tiny": "tiny",
            "own": "my own",
        },
    )
    dropped: str = knob(
        "",
        label="Blocks",
        help="Names with commas between, such as down.1.layer.1, mid, up.0.transformers.",
        visible_when={"preset": OWN},
        lines=2,
    )


class SwitchKnobs(Knobs):
    """Multi-UNet switching: the student makes the early steps."""

    steps: int = knob(50, ge=1, le=200, unit="steps", help="Of a whole run.")
    switch: int = knob(
        50,
        ge=0,
        le=200,
        unit="steps",
        label="Student until",
        help="Steps the student makes before the whole UNet takes over; all of them, and it never "
        "does.",
        source="A-SDM, abstract; the step is ours",
    )


class StudyKnobs(Knobs):
    """What the study of the shipped students is asked."""

    metric: Literal["agreement", "toy_kid", "diversity", "ssim"] = knob(
        "agreement",
        label="Metric",
        help="By the digits’ classifier: pictures with the class asked for, kernel distance to "
        "real digits within a class, distance among a class; or likeness to the teacher’s.",
        choices={name: words for name, (words, _, _) in METRICS.items()},
    )


GROUPS = (
    KnobGroup(UNET, "UNet", UNetKnobs),
    KnobGroup(STUDENT, "Student", StudentKnobs),
    KnobGroup(SWITCH, "Switching", SwitchKnobs),
    KnobGroup(STUDY, "Study of the digits", StudyKnobs),
)
PRESETS = (
    Preset("A student that was trained", {STUDENT: {"preset": "small"}}),
    Preset("Stable Diffusion, tiny", {UNET: {"model": SD15}, STUDENT: {"preset": "tiny"}}),
    Preset("SDXL with depth moved outwards", {UNET: {"model": TD4}, STUDENT: {"preset": WHOLE}}),
)


def chosen(values: Values) -> Network:
    """The UNet asked for."""
    knobs: Any = values[UNET]
    return network(knobs.model)


def dropped(values: Values) -> tuple[str, ...]:
    """Names that are dropped.

    Raises:
        ValueError: a UNet too small for the preset.
    """
    knobs: Any = values[STUDENT]
    if knobs.preset == WHOLE:
        return ()
    if knobs.preset == OWN:
        return listed(knobs.dropped)
    return dropped_by(chosen(values).config, knobs.preset)


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def problems(values: Values) -> list[Problem]:
    """What cannot be dropped, and a switch after the last step."""
    knobs: Any = values[SWITCH]
    found = []
    try:
        kept(chosen(values).config, dropped(values))
    except (DropError, ValueError) as error:
        field = "dropped" if values[STUDENT].model_dump()["preset"] == OWN else "preset"
        found.append(Problem("error", field, str(error), STUDENT))
    if knobs.switch > knobs.steps:
        text = f"Student until {knobs.switch}: a run has {knobs.steps} steps, so that or fewer"
        found.append(Problem("error", "switch", text, SWITCH))
    return found


def settings_of(names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """The form with these names dropped."""
    if not names:
        return {STUDENT: {"preset": WHOLE, "dropped": ""}}
    return {STUDENT: {"preset": OWN, "dropped": ", ".join(names)}}
