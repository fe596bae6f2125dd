"""Pipelines in one file of the original layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.checkpoints import CheckpointError, Tensors, open_tensors
from workbench.diffusion import checkpoint
from workbench.diffusion.folder_hash import hashing
from workbench.diffusion.loading.assembly import Models, Settings, assembled
from workbench.diffusion.loading.forms import TEXTS, Family, Form, form_of, text_fields
from workbench.diffusion.loading.original_names import (
    Origin,
    clip_origin,
    open_clip_origin,
    unet_origin,
    vae_origin,
)
from workbench.diffusion.loading.original_tensors import OriginalTensors
from workbench.diffusion.loading.source import find
from workbench.diffusion.loading.text_parts import require_fit
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import Scheduler, from_fields
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.text.tokens import Tokenizer
from workbench.diffusion.unet.config import CROSS_UP, UNetConfig

CLIP_HUB_NAME = "openai/clip-vit-large-patch14"
"""Its vocabulary is that of every family here."""

NOISE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SAMPLERS: dict[Family, dict[str, Any]] = {
    "1": {"_class_name": "DDIMScheduler", "prediction_type": "epsilon"},
    "2": {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
    "XL": {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"},
}
"""A file holds none: the usual one of each family; pass another where it was trained otherwise."""


def load_file(
    file: Path,
    settings: Settings,
    *,
    dtype: Any,
    tokenizer: str | Path | None,
    scheduler: Scheduler | None,
) -> Pipeline:
    """Read a pipeline; see `load_pipeline` for the arguments and errors."""
    tensors = open_tensors(file, dtype=np.float32)
    try:
        form = form_of(tensors.shapes)
        weights_hash = hashing(file)
        unet = checkpoint.UNET.build(form.unet, _unet(tensors, form.unet), dtype=dtype)
        vae = checkpoint.VAE.build(form.vae, _vae(tensors, form), dtype="float32")
        encoders = [
            _text_encoder(tensors, form.family, index, dtype)
            for index in range(len(TEXTS[form.family]))
        ]
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    place = _vocabulary(file, tokenizer)
    tokenizers = []
    for (_, is_open), encoder in zip(TEXTS[form.family], encoders, strict=True):
        # OpenCLIP fills rows with number 0, the sign "!"; CLIP with the mark that ends a text.
        tokenizers.append(Tokenizer.load(place, pad="!" if is_open else None))
        require_fit(tokenizers[-1], encoder.config, place)
    text = TextConditioning(tuple(tokenizers), tuple(encoders), form.family == "XL")
    if scheduler is None:
        scheduler = usual_sampler(form.family)
    models = Models(unet, vae, text)
    found = assembled(models, scheduler, settings, file, weights_hash.result())
    return replace(found, folder="")


def usual_sampler(family: Family) -> Scheduler:
    """The sampler a family's checkpoints are used with."""
    more = {} if family == "XL" else {"clip_sample": False, "set_alpha_to_one": False}
    return from_fields({**NOISE, **SAMPLERS[family], "steps_offset": 1, **more})


def unet_aliases(config: UNetConfig, names: list[str]) -> dict[str, str]:
    """The module names of a folder's layout by those of the original one."""
    layers, attends = _up(config)
    found = {}
    for name in names:
        origin = unet_origin(f"{name}.weight", layers, attends).name
        found[origin.removeprefix("model.diffusion_model.").removesuffix(".weight")] = name
    return found


def _up(config: UNetConfig) -> tuple[int, tuple[bool, ...]]:
    return config.layers[0], tuple(kind == CROSS_UP for kind in config.up_block_types)


def _unet(tensors: Tensors, config: UNetConfig) -> OriginalTensors:
    shapes = checkpoint.file_shapes(checkpoint.UNET.abstract(config))
    layers, attends = _up(config)
    origins = {name: unet_origin(name, layers, attends) for name in shapes}
    return OriginalTensors(tensors, origins, shapes)


def _vae(tensors: Tensors, form: Form) -> OriginalTensors:
    shapes = checkpoint.file_shapes(checkpoint.VAE.abstract(form.vae))
    blocks = len(form.vae.block_out_channels)
    return OriginalTensors(tensors, {name: vae_origin(name, blocks) for name in shapes}, shapes)


def _text_encoder(tensors: Tensors, family: Family, index: int, dtype: Any) -> Any:
    config = CLIPTextConfig.from_file_fields(text_fields(tensors.shapes, family, index))
    shapes = checkpoint.file_shapes(checkpoint.TEXT_ENCODER.abstract(config))
    prefix, is_open = TEXTS[family][index]
    origin = open_clip_origin if is_open else clip_origin
    origins: dict[str, Origin] = {name: origin(name, prefix) for name in shapes}
    found = OriginalTensors(tensors, origins, shapes)
    return checkpoint.TEXT_ENCODER.build(config, found, dtype=dtype)


def _vocabulary(file: Path, tokenizer: str | Path | None) -> Path:
    """A folder with the tokenizer's files: the one given, one beside the file, or the hub's."""
    if tokenizer is not None:
        return find(tokenizer)
    for place in (file.parent / "tokenizer", file.parent):
        if (place / "vocab.json").is_file() or (place / "tokenizer.json").is_file():
            return place
    from huggingface_hub import snapshot_download

    names = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]
    for offline in (True, False):
        try:
            found = snapshot_download(CLIP_HUB_NAME, allow_patterns=names, local_files_only=offline)
        except Exception:  # the hub's errors are of many kinds
            continue
        if (Path(found) / "vocab.json").is_file():
            return Path(found)
    raise CheckpointError(
        f"{file}: a single file holds no vocabulary, {file.parent / 'tokenizer'} is not there, and "
        f"{CLIP_HUB_NAME} can be reached nowhere; pass tokenizer= a folder with vocab.json and "
        "merges.txt"
    )
