"""Diffusion models and the ways to sample them; each name is fetched when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.diffusion.checkpoint import (
        load_dit,
        load_text_encoder,
        load_unet,
        load_vae,
        save_dit,
        save_text_encoder,
        save_unet,
        save_vae,
    )
    from workbench.diffusion.dit import DiT
    from workbench.diffusion.driver import sample
    from workbench.diffusion.loading.reading import load_pipeline
    from workbench.diffusion.loading.writing import save_pipeline
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.text.encoder import CLIPTextEncoder
    from workbench.diffusion.unet import UNet2DCondition
    from workbench.diffusion.vae import AutoencoderKL

# Names and the modules they are in.
_PLACES = {
    "AutoencoderKL": "vae",
    "CLIPTextEncoder": "text.encoder",
    "DiT": "dit",
    "Pipeline": "pipeline",
    "UNet2DCondition": "unet",
    "load_dit": "checkpoint",
    "load_pipeline": "loading.reading",
    "load_text_encoder": "checkpoint",
    "load_unet": "checkpoint",
    "load_vae": "checkpoint",
    "sample": "driver",
    "save_dit": "checkpoint",
    "save_pipeline": "loading.writing",
    "save_text_encoder": "checkpoint",
    "save_unet": "checkpoint",
    "save_vae": "checkpoint",
}

__all__ = [
    "AutoencoderKL",
    "CLIPTextEncoder",
    "DiT",
    "Pipeline",
    "UNet2DCondition",
    "load_dit",
    "load_pipeline",
    "load_text_encoder",
    "load_unet",
    "load_vae",
    "sample",
    "save_dit",
    "save_pipeline",
    "save_text_encoder",
    "save_unet",
    "save_vae",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'workbench.diffusion' has no attribute {name!r}")
    return getattr(import_module(f"workbench.diffusion.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
