"""The methods the lab opens with, and how a form's settings become methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.diffusion.dit.first_block_cache import FirstBlockCache
from workbench.diffusion.dit.taylorseer import TaylorSeer
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.panels.view import KnobGroup, Values
from workbench.study.knobs import Knobs, knob
from workbench.study.method import Method

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

MethodClass = type[Method]

DEFAULT: tuple[MethodClass, ...] = (EncoderPropagation, FeatureInheritance, FewerSteps)
TRANSFORMER: tuple[MethodClass, ...] = (
    EncoderPropagation,
    TaylorSeer,
    FirstBlockCache,
    FewerSteps,
)
"""For a diffusion transformer, which has no skip branches, but caches of its own."""
BASELINE = FullSampling

SAMPLING = "sampling"

ROUNDS = 5
"""Timed rounds of a run of the panel."""

NEVER: dict[str, tuple[str, ...]] = {"sampler": ()}
"""Under which a knob is not drawn: no sampler is one of none."""


Sampler = Literal["ddim", "dpm++", "ddpm", "pndm", "euler", "euler-ancestral", "lcm"]
SAMPLER_NAMES = {
    "ddim": "DDIM",
    "dpm++": "DPM-Solver++",
    "ddpm": "DDPM",
    "pndm": "PNDM",
    "euler": "Euler",
    "euler-ancestral": "Euler ancestral",
    "lcm": "LCM",
}
REPEATS = "A step is one call of the model: 50 steps of PNDM in diffusers are 51 here."
OwnSampler = Literal["own", Sampler]
"""Or the checkpoint's."""
OWN_SAMPLER_NAMES = {"own": "Its own", **SAMPLER_NAMES}


class Sampling(Knobs):
    """What every method shares: the sampler and the pictures asked for."""

    sampler: Sampler = knob(
        "ddim",
        help=f"How predictions become the next sample; the same for every method. {REPEATS}",
        choices=SAMPLER_NAMES,
        source="DDIM: arXiv 2010.02502; DPM-Solver++: arXiv 2211.01095; DDPM: arXiv 2006.11239",
    )
    steps: int = knob(
        50,
        ge=6,
        le=200,
        unit="steps",
        help="Sampling steps of the baseline and of every plan.",
        paper=50,
        source="Faster Diffusion and DeepCache report 50",
    )
    guidance: float = knob(
        1.5,
        ge=1.0,
        le=10.0,
        step=0.1,
        unit="×",
        help="How strongly the asked class pulls; 1 runs one pass a step instead of two.",
        source="Classifier-free guidance, arXiv 2207.12598",
    )
    seeds: int = knob(
        32,
        ge=8,
        le=128,
        step=8,
        help="Pictures per method, eight at a time; more narrow the intervals.",
    )
    memory: bool = knob(
        False,
        label="Measure memory",
        help="Measures peak memory too, each method in a process of its own: some seconds each.",
    )
    look: str = ""


def methods_for(pipeline: Pipeline | None) -> tuple[MethodClass, ...]:
    """The methods a model is compared under where none are given."""
    if pipeline is None:
        return DEFAULT
    from workbench.diffusion.unet.config import UNetConfig

    return DEFAULT if isinstance(pipeline.config, UNetConfig) else TRANSFORMER


def group_id(method: MethodClass) -> str:
    """The form's name for a method's knobs."""
    return "_".join("".join(c if c.isalnum() else " " for c in method.name.lower()).split())


def sampling_knobs(methods: Sequence[MethodClass]) -> type[Sampling]:
    """Sampling settings with the choice of the method that is looked at closely."""
    names = tuple(method.name for method in methods)
    look = knob(
        names[0],
        label="Look at",
        help="The method shown beside the full run, in the drift map and on the claim card.",
        choices={name: name for name in names},
        visible_when={} if len(names) > 1 else NEVER,
    )
    kinds: dict[str, Any] = {"look": (Literal[names], look)}
    return create_model("Sampling", __base__=Sampling, **kinds)


def groups(methods: Sequence[MethodClass]) -> list[KnobGroup]:
    """The form: sampling first, then each method under its mark."""
    first = KnobGroup(SAMPLING, "Sampling", sampling_knobs(methods))
    rest = [KnobGroup(group_id(m), m.name, m.Knobs, method=m.name) for m in methods]
    return [first, *rest]


def sampling(values: Values) -> Sampling:
    """The shared settings of a form."""
    knobs = values[SAMPLING]
    assert isinstance(knobs, Sampling), "the form's first group is the sampling group"
    return knobs


def chosen(methods: Sequence[MethodClass], values: Values) -> list[Method]:
    """The baseline and every method with the form's settings."""
    return [BASELINE(), *(method(values[group_id(method)]) for method in methods)]
