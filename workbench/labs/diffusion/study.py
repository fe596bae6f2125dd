"""The study behind the lab: the shipped model, its pictures by seed, and the probes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import shipped
from workbench.study.study import Outcome, Outputs, Probe, Study

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

MODEL = "data/digits-unet"
BATCH = 8


@cache
def _loaded(folder: str) -> Pipeline:
    from workbench.diffusion.pipeline import Pipeline

    return Pipeline.load(folder)


def pipeline(folder: str | Path | None = None) -> Pipeline:
    """The shipped model, or one from a folder of the same layout.

    Raises:
        CheckpointError: for a missing, truncated or mislabelled part.
    """
    return _loaded(str(folder or shipped.path(MODEL)))


def study(
    subject: Pipeline | None = None,
    *,
    sampler: str = "ddim",
    steps: int = 50,
    guidance: float = 2.0,
    seeds: int | Iterable[int] = 16,
) -> Study:
    """Pictures for seeds 0, 1, …, classes in turn, held against full sampling of the same seeds.

    Args:
        subject: a pipeline; the shipped one when None.
        seeds: how many, or which.
    """
    subject = subject or pipeline()
    subject = subject.with_sampling(sampler=sampler, steps=steps, guidance=guidance)
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    return Study(
        name=f"{subject.name}, {steps} steps",
        subject=subject,
        inputs=subject.inputs,
        seeds=chosen,
        probes=PROBES,
        batch=min(BATCH, len(chosen)),
        derive=derived,
    )


@cache
def _classifier() -> Any:
    from workbench.diffusion.classifier import load_classifier

    return load_classifier(shipped.path(f"{MODEL}/classifier"))


@cache
def _real_features() -> np.ndarray:
    """Features of the real test pictures."""
    from workbench.datasets import digits

    real = digits(size=16).test.images.astype(np.float32) / 255
    return np.asarray(_classifier().features(real))


def derived(outputs: Outputs) -> Outputs:
    """The classifier's features and its answer for each picture, computed once."""
    classifier = _classifier()
    return {
        "features": np.asarray(classifier.features(outputs["image"])),
        "answer": np.asarray(classifier.logits(outputs["image"])).argmax(axis=-1),
    }


def _agrees(outcome: Outcome) -> np.ndarray:
    asked = np.array([seed % outcome.subject.tokens.classes for seed in outcome.seeds])
    return 100.0 * (outcome.outputs["answer"] == asked)


def _against_full(measure: str, outcome: Outcome, name: str = "image") -> np.ndarray:
    from workbench.diffusion import fidelity

    return getattr(fidelity, measure)(outcome.outputs[name], outcome.reference[name])


def _toy_fid(outcome: Outcome) -> float:
    from workbench.diffusion.population import kernel_distance

    return kernel_distance(outcome.outputs["features"], _real_features())


def _diversity(outcome: Outcome) -> float:
    from workbench.diffusion.population import diversity

    asked = np.array([seed % outcome.subject.tokens.classes for seed in outcome.seeds])
    return diversity(outcome.outputs["features"], asked)


PROBES = (
    Probe("agreement", _agrees, "%", "higher", 2.0, label="class agreement"),
    Probe("ssim", partial(_against_full, "ssim"), "", "higher", 0.02, label="SSIM to the full run"),
    Probe(
        "psnr", partial(_against_full, "psnr"), "dB", "higher", 1.0, label="PSNR to the full run"
    ),
    Probe(
        "detail",
        partial(_against_full, "high_frequency_ratio"),
        "×",
        "",
        label="power at high frequencies",
    ),
    Probe(
        "toy_fid",
        _toy_fid,
        "",
        "lower",
        level="population",
        label="toy-FID (kernel distance, digit classifier features)",
    ),
    Probe("diversity", _diversity, "", "higher", level="population", label="diversity in a class"),
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
