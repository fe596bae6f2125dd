"""Parts put together: what fits, and how a checkpoint is sampled where nothing is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import Scheduler
from workbench.diffusion.unet import UNet2DCondition
from workbench.diffusion.unet.winograd import transform_kernels
from workbench.model_files.precision import Precision, precision

STEPS, FEW_STEPS = 50, 4
GUIDANCE, GUIDANCE_XL, NO_GUIDANCE = 7.5, 5.0, 1.0


@dataclass(frozen=True)
class Settings:
    """How to sample; None takes the usual one for the checkpoint.

    Args:
        dtype: of the UNet and the text encoders, as `precision` names it.
        steps: of the sampler.
        guidance: scale of classifier-free guidance.
        kept_transforms: whether a UNet's kernels are kept transformed where that pays.
    """

    dtype: Any = "float32"
    steps: int | None = None
    guidance: float | None = None
    kept_transforms: bool = False


@dataclass(frozen=True)
class Models:
    """The parts that hold weights."""

    unet: Any
    vae: Any
    text: TextConditioning


def assembled(
    models: Models, scheduler: Scheduler, settings: Settings, place: Path, weights_hash: str
) -> Pipeline:
    """One pipeline of parts that fit each other.

    Raises:
        CheckpointError: parts whose widths differ, or a form that needs more than a prompt.
    """
    config, vae, text = models.unet.config, models.vae.config, models.text
    if config.sample_size is None:
        raise CheckpointError(f"{place}: the UNet's config gives no sample_size")
    if config.in_channels != vae.latent_channels:
        raise CheckpointError(
            f"{place}: the UNet's in_channels is {config.in_channels}, the VAE's latent_channels "
            f"{vae.latent_channels}; forms that read a picture too (inpainting) are not supported"
        )
    if text.width != config.cross_attention_dim:
        raise CheckpointError(
            f"{place}: the text is {text.width} wide; the UNet's cross_attention_dim is "
            f"{config.cross_attention_dim}"
        )
    pooled = text.encoders[-1].config.pooled_width if text.pools else 0
    if pooled != config.pooled_width:
        raise CheckpointError(
            f"{place}: the pooled text is {pooled} wide; the UNet reads {config.pooled_width}"
        )
    steps, guidance = usual(scheduler, text)
    steps = settings.steps or steps
    guidance = guidance if settings.guidance is None else settings.guidance
    held = precision(settings.dtype)
    if settings.kept_transforms:
        held = _transformed(models.unet, held, 1 if guidance == 1 else 2)
    return Pipeline(
        name=place.stem if place.is_file() else place.name,
        config=config,
        weights=flat_weights(models.unet),
        conditioning=text,
        scheduler=scheduler,
        weights_hash=weights_hash,
        steps=steps,
        guidance=guidance,
        plan=Plan.full(steps),
        folder=str(place),
        vae=models.vae,
        precision=held,
    )


def _transformed(unet: UNet2DCondition, held: Precision, passes: int) -> Precision:
    """Kernels kept transformed in place, so that no kernel is there twice; and what says so."""
    size = unet.config.sample_size
    height, width = size if isinstance(size, tuple) else (size or 0, size or 0)
    found = replace(held, transformed=(height, width, passes))
    transform_kernels(unet, height, width, passes)
    return found


def usual(scheduler: Scheduler, text: TextConditioning) -> tuple[int, float]:
    """Steps and guidance a checkpoint is usually sampled with.

    A rule of ours: files do not say. Distilled models are told by their sampler, LCM or Euler with
    trailing timesteps, which their files name.
    """
    name = type(scheduler).__name__
    trailing = getattr(scheduler, "timestep_spacing", "") == "trailing"
    if name == "LCM" or (name.startswith("Euler") and trailing):
        return FEW_STEPS, NO_GUIDANCE
    return STEPS, GUIDANCE_XL if text.pools else GUIDANCE
