"""The form of text to image: checkpoint, prompt, sampler, plan; and what its settings mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.planned import PlannedSampling
from workbench.labs.diffusion.methods import OWN_SAMPLER_NAMES, REPEATS, OwnSampler
from workbench.labs.diffusion.own_plan import OwnPlan
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

CHECKPOINT, PROMPT, DRAWING, PLAN = "checkpoint", "prompt", "drawing", "plan"
PLANNED = ("encoder propagation", "feature inheritance")
OWN = "The checkpoint’s own where empty."


class CheckpointKnobs(Knobs):
    """Which model, and how its weights are held."""

    path: str = knob(
        "",
        label="Folder, file or hub name",
        help="A folder of diffusers, a single .safetensors file, or a hub name, fetched where "
        "the local cache lacks it. Empty: the model given to the panel, else the shipped digits.",
    )
    precision: Literal["float32", "bfloat16", "int8"] = knob(
        "float32",
        label="Weights",
        help="What the weights of a checkpoint named above are held in. int8 has a scale for each "
        "output channel.",
        static=True,
        choices={"float32": "float32", "bfloat16": "bfloat16", "int8": "int8"},
    )
    tokenizer: str = knob(
        "",
        help="Folder or hub name of the vocabulary, for a single file, which holds none. Empty: "
        "the one beside the file, else CLIP’s own from the hub.",
    )


class PromptKnobs(Knobs):
    """What is asked for."""

    prompt: str = knob(
        "",
        help="What to draw. A model of classes reads class numbers, such as “3” or “0, 1, 2”; "
        "empty, its classes take turns.",
        lines=3,
    )
    negative: str = knob(
        "", label="Negative prompt", help="What guidance moves away from.", lines=2
    )


class DrawingKnobs(Knobs):
    """How it is sampled."""

    sampler: OwnSampler = knob(
        "own",
        help=f"How predictions become the next sample. “Its own” is the checkpoint’s. {REPEATS}",
        choices=OWN_SAMPLER_NAMES,
    )
    steps: int | None = knob(None, ge=1, unit="steps", help=f"Sampling steps. {OWN}")
    guidance: float | None = knob(
        None,
        ge=0,
        step=0.1,
        unit="×",
        help=f"How strongly the prompt pulls; 1 runs one pass a step instead of two, "
        f"0 leaves the prompt out. {OWN}",
        source="Classifier-free guidance, arXiv 2207.12598",
    )
    seed: int = knob(0, ge=0, label="First seed", help="Pictures use this seed and those after it.")
    count: int = knob(8, ge=1, le=64, label="Pictures", help="How many, a seed each.")
    at_once: int = knob(
        4, ge=1, le=16, label="At a time", help="Pictures sampled together; fewer need less memory."
    )
    height: int | None = knob(None, ge=1, unit="px", help=f"Height of a picture. {OWN}")
    width: int | None = knob(None, ge=1, unit="px", help=f"Width of a picture. {OWN}")


class PlanKnobs(Knobs):
    """What each step computes."""

    method: Literal["full", "encoder propagation", "feature inheritance", "own"] = knob(
        "full",
        help="What each sampling step computes.",
        choices={
            "full": "Full sampling",
            "encoder propagation": "Encoder propagation",
            "feature inheritance": "Feature inheritance",
            "own": "Your plan",
        },
    )
    interval: int = knob(
        2,
        ge=1,
        le=20,
        unit="steps",
        help="One step in this many runs in full.",
        visible_when={"method": PLANNED},
    )
    branch: int = knob(
        0,
        ge=0,
        le=30,
        help="Skip connection down to which layers are recomputed, 0 the outermost.",
        source="DeepCache package: cache_branch_id",
        visible_when={"method": ("feature inheritance", "own")},
    )
    pattern: str = knob(
        "full, decode",
        help="What each step does, as the plan editor writes it; it repeats until the run is full.",
        lines=2,
        visible_when={"method": "own"},
    )
    inherited: str = knob(
        "", help="Blocks whose values inherit steps keep.", visible_when={"method": "own"}
    )


GROUPS = (
    KnobGroup(PROMPT, "Prompt", PromptKnobs),
    KnobGroup(DRAWING, "Sampling", DrawingKnobs),
    KnobGroup(PLAN, "Plan", PlanKnobs),
    KnobGroup(CHECKPOINT, "Checkpoint", CheckpointKnobs),
)


def presets(text: bool) -> tuple[Preset, Preset, Preset]:
    """Three ways to draw.

    Args:
        text: whether the model that is there reads prompts.
    """
    every = {"method": "encoder propagation", "interval": 2}
    prompt = {PROMPT: {"prompt": "a photograph of a lighthouse in a storm"}} if text else {}
    drawing = {DRAWING: {"count": 1}} if text else {}
    return (
        Preset("As the checkpoint says", {**prompt, **drawing}),
        Preset("Every second step keeps the encoder", {**prompt, **drawing, PLAN: every}),
        Preset(
            "Every fifth step in full",
            {**prompt, **drawing, PLAN: {"method": "feature inheritance", "interval": 5}},
        ),
    )


def method_of(values: Values) -> PlannedSampling | None:
    """The plan's method; None for full sampling."""
    knobs: Any = values[PLAN]
    if knobs.method == "encoder propagation":
        return EncoderPropagation(key_steps="uniform", interval=knobs.interval)
    if knobs.method == "feature inheritance":
        return FeatureInheritance(interval=knobs.interval, branch=knobs.branch)
    if knobs.method == "own":
        return OwnPlan(pattern=knobs.pattern, branch=knobs.branch, inherited=knobs.inherited)
    return None


def seeds_of(values: Values) -> tuple[int, ...]:
    """The seeds of the pictures asked for."""
    knobs: Any = values[DRAWING]
    return tuple(range(knobs.seed, knobs.seed + knobs.count))


def set_up(pipeline: Pipeline, values: Values) -> Pipeline:
    """The pipeline with the form's sampler and size, sampling in full.

    Raises:
        ValueError: for numbers that this model cannot take, naming them.
    """
    knobs: Any = values[DRAWING]
    chosen = pipeline.with_sampling(
        steps=knobs.steps,
        guidance=knobs.guidance,
        sampler=None if knobs.sampler == "own" else knobs.sampler,
    )
    if knobs.height is None and knobs.width is None:
        return chosen
    height, width = chosen.picture_size
    return chosen.with_size(knobs.height or height, knobs.width or width)


def path_problem(path: str) -> str:
    """What is wrong with a path before anything is read; empty where nothing is."""
    from workbench.model_files.hub import HUB_NAME

    place = Path(path).expanduser()
    if not path or place.exists() or HUB_NAME.fullmatch(path):
        return ""
    return f"Folder, file or hub name: nothing is at {path!r}, and it is no name like owner/model"
