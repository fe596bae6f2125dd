"""The study behind the lab: the shipped model, its pictures by seed, and the probes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import shipped
from workbench.diffusion.loading.source import INDEX
from workbench.labs.diffusion.judge import Judge, judge_of
from workbench.labs.diffusion.memory import peak
from workbench.labs.diffusion.own_networks import OwnNetworks
from workbench.study.study import Outcome, Outputs, Probe, Study

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline
    from workbench.labs.diffusion.methods import Sampling

MODEL = "data/digits-unet"
BATCH = 8


@cache
def _loaded(folder: str) -> Pipeline:
    from workbench.diffusion.pipeline import Pipeline

    return Pipeline.load(folder)


def pipeline(
    folder: str | Path | None = None,
    *,
    dtype: str = "float32",
    prompts: Sequence[str] = (),
    negative: str = "",
    size: tuple[int, int] | None = None,
    kept_transforms: bool = False,
) -> Pipeline:
    """The shipped model, or one from a folder.

    Args:
        folder: of this layout or of any that `workbench.diffusion.load_pipeline` reads.
        dtype: what the weights are held in.
        prompts, negative: texts that studies draw by seed, for a model that reads them.
        size: height and width of the pictures in pixels, where not the model's own.
        kept_transforms: see `workbench.diffusion.load_pipeline`.

    Raises:
        CheckpointError: for a missing, truncated or mislabelled part.
    """
    place = Path(folder or shipped.path(MODEL))
    of_classes = (place / "class_tokens").is_dir() or not (place / INDEX).exists()
    if of_classes and dtype == "float32" and not kept_transforms:
        found = _loaded(str(place))
    else:  # not kept: a checkpoint of one's own may fill the memory
        from workbench.diffusion import load_pipeline

        found = load_pipeline(place, dtype=dtype, kept_transforms=kept_transforms)
    found = found.with_prompts(prompts, negative) if prompts else found
    return found.with_size(*size) if size else found


def beside_folder(subject: Pipeline) -> dict[str, Any]:
    """Arguments of `pipeline` that give this model from its folder; its sampling is left out."""
    given: dict[str, Any] = {}
    if subject.precision.name != "float32":
        given["dtype"] = subject.precision.name
    if subject.precision.transformed is not None:
        given["kept_transforms"] = True
    if subject.prompts:
        given |= {"prompts": list(subject.prompts), "negative": subject.negative}
    if subject.size is not None:
        given["size"] = subject.picture_size
    return given


def study(
    subject: Pipeline | None = None,
    *,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seeds: int | Iterable[int] = 32,
    memory: bool = False,
    networks: OwnNetworks | None = None,
) -> Study:
    """Pictures for seeds 0, 1, …, classes in turn, held against full sampling of the same seeds.

    Args:
        subject: a pipeline; the shipped one when None.
        sampler, steps, guidance: the subject's own where left out; DDIM, 50 and 1.5 of the shipped.
        seeds: how many, or which; distances and diversity have an interval from three of a class.
        memory: whether peak memory is measured too, a fresh process for each method.
        networks: networks of one's own, for FID and CLIPScore.
    """
    subject = subject or pipeline()
    subject = subject.with_sampling(sampler=sampler, steps=steps, guidance=guidance)
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    judge = judge_of(subject.folder)
    counted = judge and replace(judge, pictures=len(chosen))
    judges = [judge for judge in (counted, networks) if judge is not None]
    own = {"steps": subject.steps, "guidance": subject.guidance}
    settings = {"sampler": sampler, **own, "seeds": BATCH}
    weighed = None
    if memory:
        model = {"folder": subject.home, **beside_folder(subject)}
        weighed = partial(peak, settings={**settings, "model": model})
    return Study(
        name=f"{subject.name}, {subject.steps} steps",
        subject=subject,
        inputs=subject.inputs,
        seeds=chosen,
        probes=(*FIDELITY, *(probe for judge in judges for probe in judge.probes)),
        batch=min(BATCH, len(chosen)),
        derive=partial(_derived, judges),
        peak=weighed,
    )


def study_of(
    knobs: Sampling, subject: Pipeline | None = None, networks: OwnNetworks | None = None
) -> Study:
    """`study` with the settings of the panel's sampling form."""
    return study(
        subject,
        sampler=knobs.sampler,
        steps=knobs.steps,
        guidance=knobs.guidance,
        seeds=knobs.seeds,
        memory=knobs.memory,
        networks=networks,
    )


def _derived(judges: Sequence[Judge | OwnNetworks], outputs: Outputs) -> Outputs:
    """What the judges see in pictures that are numbers throughout.

    Raises:
        ValueError: where they are not, for every quality would be made up.
    """
    sound = np.asarray(np.isfinite(outputs["image"]).all(axis=(1, 2, 3)))
    if not sound.all():
        bad = f"{(~sound).sum()} of {len(sound)} pictures are not finite (NaN or infinite)"
        raise ValueError(f"{bad}: the model, or sampling with these settings, diverges")
    return {name: array for judge in judges for name, array in judge.derived(outputs).items()}


def _against_full(measure: str, outcome: Outcome, name: str = "image") -> np.ndarray:
    from workbench.diffusion import fidelity

    return getattr(fidelity, measure)(outcome.outputs[name], outcome.reference[name])


# The first probe decides. SSIM has a number for each picture, so its paired interval is narrow;
# whether the class is right is a yes or no, which tells a loss of 2 points only over hundreds of
# pictures; distances between sets need no fewer.
FIDELITY = (
    Probe("ssim", partial(_against_full, "ssim"), "", "higher", 0.02, label="SSIM to full run"),
    # The full run's own PSNR is a ceiling, not a measurement: nothing is subtracted from it.
    Probe(
        "psnr",
        partial(_against_full, "psnr"),
        "dB",
        "higher",
        label="PSNR to full run",
        relative=True,
    ),
    Probe(
        "detail",
        partial(_against_full, "high_frequency_ratio"),
        "×",
        "",
        label="power at high frequencies",
    ),
    Probe(
        "latent_error",
        partial(_against_full, "latent_error", name="latents"),
        level="series",
        axis="step",
        label="relative latent error",
    ),
    Probe(
        "spectrum",
        partial(_against_full, "spectrum_ratio"),
        level="series",
        axis="frequency",
        label="power against the full run",
    ),
)
