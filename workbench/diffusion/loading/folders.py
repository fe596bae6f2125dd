"""Pipelines in folders, in the layout of diffusers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError, variants
from workbench.diffusion.checkpoint import load_text_encoder, load_unet, load_vae
from workbench.diffusion.folder_hash import hashing
from workbench.diffusion.loading.assembly import Models, Settings, assembled
from workbench.diffusion.loading.index import DIT, XL, read_index
from workbench.diffusion.loading.text_parts import require_fit
from workbench.diffusion.loading.transformers import load_transformer
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import Scheduler, load_scheduler
from workbench.diffusion.text.tokens import Tokenizer


def load_folder(
    folder: Path,
    settings: Settings,
    *,
    dtype: Any,
    variant: str | None,
    kind: str | None,
    scheduler: str | None,
) -> Pipeline:
    """Read a pipeline; see `load_pipeline` for the arguments and errors."""
    index = read_index(folder, kind)
    read = _part(folder, variant)
    if index.kind == DIT:
        found = load_transformer(folder, read, _sampler(folder, scheduler), settings)
        return _named(found, variant)
    names = ["text_encoder", "text_encoder_2"] if index.kind == XL else ["text_encoder"]
    tokenizers = []
    for name in names:
        place = folder / name.replace("text_encoder", "tokenizer")
        tokenizers.append(Tokenizer.load(place))
    weights_hash = hashing(folder)
    encoders = [read(name, load_text_encoder, dtype) for name in names]
    for name, tokenizer, encoder in zip(names, tokenizers, encoders, strict=True):
        place = folder / name.replace("text_encoder", "tokenizer")
        require_fit(tokenizer, encoder.config, place)
    if index.kind == XL and not encoders[1].config.projection:
        raise CheckpointError(f"{folder / names[1]}: has no text_projection.weight; SDXL needs it")
    zeros = index.kind == XL and bool(index.settings.get("force_zeros_for_empty_prompt", True))
    models = Models(
        unet=read("unet", load_unet, dtype),
        vae=read("vae", load_vae, "float32"),
        text=TextConditioning(tuple(tokenizers), tuple(encoders), zeros),
    )
    sampler = _sampler(folder, scheduler)
    return _named(assembled(models, sampler, settings, folder, weights_hash.result()), variant)


def _named(found: Pipeline, variant: str | None) -> Pipeline:
    """One folder holds other weights in each variant: named apart from the plain ones."""
    if variant is None:
        return found
    mark = f"{found.weights_hash} {variant}"
    return replace(found, weights_hash=hashlib.sha256(mark.encode()).hexdigest()[:16])


def _sampler(folder: Path, kind: str | None) -> Scheduler:
    try:
        return load_scheduler(folder / "scheduler", kind=kind)
    except ValueError as error:
        raise CheckpointError(str(error).replace("pass kind=", "pass scheduler=")) from error


def _part(folder: Path, variant: str | None) -> Callable[[str, Callable[..., Any], Any], Any]:
    """Reads a part in the wanted variant where it has it, in its only or plain one where not."""

    def read(name: str, load: Callable[..., Any], dtype: Any) -> Any:
        place = folder / name
        has = variant is not None and variant in variants(place)
        try:
            return load(place, dtype=dtype, variant=variant if has else None)
        except CheckpointError:
            raise
        except ValueError as error:
            raise CheckpointError(str(error)) from error

    return read
