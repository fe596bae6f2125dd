"""The form of super-resolution: which picture, how it is made worse, what is compared."""

from __future__ import annotations

import copy
from typing import Any, Literal

from pydantic import create_model

from workbench.diffusion.super_resolution.degradation import MILD, Degradation
from workbench.diffusion.super_resolution.verdict import METRICS
from workbench.panels.view import KnobGroup, Preset, Problem, Values
from workbench.study.knobs import KnobError, Knobs, knob

PICTURE, DEGRADATION, STUDY = "picture", "degradation", "study"
OWN, AS_IT_IS = "own", "none"
REBUILD = "rebuild"
NUMBERED = 8
"""Pages and crops to choose from."""


class PictureKnobs(Knobs):
    """What is looked at."""

    task: Literal["rebuild", "restore"] = knob(
        "rebuild",
        help="Through each autoencoder and back, which shows what its latents keep; or made worse, "
        "a quarter as large, and restored in one step.",
        choices={"rebuild": "encode, decode", "restore": "make 4 × larger"},
    )
    source: Literal["page", "photograph", "own"] = knob(
        "page",
        label="Picture",
        help="Held-out pages of English and halved photographs of 128 pixels, which no network "
        "here was trained on, or a picture of yours.",
        choices={"page": "a page", "photograph": "a photograph", "own": "my own"},
    )
    number: int = knob(
        1,
        ge=0,
        le=NUMBERED - 1,
        label="Which",
        help="Of the pages, whose letters are 9, 12, 16 and 20 pixels tall in turn, or of the "
        "crops of the photographs.",
        visible_when={"source": ("page", "photograph")},
    )
    path: str = knob(
        "",
        label="File",
        help="A picture in colour, PNG or JPEG, whose width and height are multiples of 16.",
        visible_when={"source": OWN},
    )


class _Kind(Knobs):
    kind: Literal["mild", "public", "own", "none"] = knob(
        "mild",
        label="How",
        help="By second-order degradation, to a quarter of the width and height; “not” takes a "
        "picture as it is and enlarges it.",
        source="Wang et al. 2021 (Real-ESRGAN), figure 2; TVT's own numbers are not public",
        choices={
            "mild": "as in training (ours)",
            "public": "as Real-ESRGAN",
            "own": "by my numbers",
            "none": "not",
        },
    )
    seed: int = knob(
        0,
        ge=0,
        le=9999,
        help="Everything that is drawn (kernels, noise, qualities) follows from it.",
        visible_when={"kind": ("mild", "public", "own")},
    )


def _numbers() -> dict[str, Any]:
    """The fields of a degradation, from the mild one, shown where they are one's own."""
    found = {}
    for name, info in Degradation.model_fields.items():
        own = copy.deepcopy(info)
        own.default = getattr(MILD, name)
        extra: Any = own.json_schema_extra
        extra["knob"]["visible_when"] = {"kind": OWN}
        found[name] = (info.annotation, own)
    return found


DegradationKnobs: Any = create_model("DegradationKnobs", __base__=_Kind, **_numbers())


class StudyKnobs(Knobs):
    """What the training study is asked."""

    metric: Literal["psnr_y", "ssim_y", "edges", "characters"] = knob(
        "characters",
        label="Metric",
        help="PSNR and SSIM of luma; correlation of edges (Sobel); correlation within the box of "
        "each letter, on pages alone. The last two are ours.",
        choices=METRICS,
    )


GROUPS = (
    KnobGroup(PICTURE, "Picture", PictureKnobs),
    KnobGroup(DEGRADATION, "Degradation", DegradationKnobs, note="Before it is made larger"),
    KnobGroup(STUDY, "Study of three seeds", StudyKnobs),
)
PRESETS = (
    Preset("What latents keep of small print", {}),
    Preset(
        "A photograph made larger",
        {
            PICTURE: {"task": "restore", "source": "photograph", "number": 0},
            STUDY: {"metric": "edges"},
        },
    ),
    Preset(
        "A page worse than in training",
        {PICTURE: {"task": "restore", "number": 2}, DEGRADATION: {"kind": "public"}},
    ),
)


def degradation(values: Values) -> Degradation | None:
    """How the picture is made worse; None where it is taken as it is.

    Raises:
        KnobError: numbers of one's own that do not go together.
    """
    knobs: Any = values[DEGRADATION]
    if knobs.kind == AS_IT_IS:
        return None
    if knobs.kind == "mild":
        return MILD
    if knobs.kind == "public":
        return Degradation()
    return Degradation.parse(knobs.model_dump(include=set(Degradation.model_fields)))


def degradation_problem(values: Values) -> list[Problem]:
    """Numbers of one's own that do not go together."""
    try:
        degradation(values)
    except KnobError as error:
        field = error.field if error.field in Degradation.model_fields else ""
        return [Problem("error", field, str(error), DEGRADATION)]
    return []
