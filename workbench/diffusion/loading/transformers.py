"""Pipelines around a diffusion transformer: classes in place of text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError
from workbench.diffusion.checkpoint import load_dit, load_vae
from workbench.diffusion.dit import ClassLabels
from workbench.diffusion.folder_hash import hash_of_weights
from workbench.diffusion.loading.assembly import STEPS, Settings
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import Scheduler
from workbench.model_files.precision import precision

GUIDANCE = 4.0
"""Where nothing is asked for; the paper's pictures use it (Peebles & Xie 2023, figure 1)."""

Reader = Callable[[str, Callable[..., Any], Any], Any]


def load_transformer(
    folder: Path, read: Reader, scheduler: Scheduler, settings: Settings
) -> Pipeline:
    """The pipeline in a folder whose model is a DiT.

    Args:
        folder: in the layout of diffusers, with `transformer` and `vae`.
        read: reads a part by its name, loader and dtype.
        scheduler: of the folder.
        settings: how to sample.

    Raises:
        CheckpointError: a part that is missing or broken, or parts that do not fit.
    """
    if settings.kept_transforms:
        raise CheckpointError(f"{folder}: kept_transforms=True is for UNets; leave it out here")
    dit, vae = read("transformer", load_dit, settings.dtype), read("vae", load_vae, "float32")
    if dit.config.in_channels != vae.config.latent_channels:
        raise CheckpointError(
            f"{folder}: the transformer's in_channels is {dit.config.in_channels}, the VAE's"
            f" latent_channels {vae.config.latent_channels}"
        )
    steps = settings.steps or STEPS
    return Pipeline(
        name=folder.name,
        config=dit.config,
        weights=flat_weights(dit),
        conditioning=ClassLabels(dit.config.num_embeds_ada_norm),
        scheduler=scheduler,
        weights_hash=hash_of_weights(folder),
        steps=steps,
        guidance=GUIDANCE if settings.guidance is None else settings.guidance,
        plan=Plan.full(steps),
        folder=str(folder),
        vae=vae,
        precision=precision(settings.dtype),
    )
