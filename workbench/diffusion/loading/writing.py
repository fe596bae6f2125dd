"""`save_pipeline`: a pipeline in the layout of diffusers, which reads it too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from workbench.checkpoints import replace_text
from workbench.diffusion.checkpoint import save_dit, save_text_encoder, save_unet, save_vae
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.dit import DiT
from workbench.diffusion.loading.index import CLIP, CLIP_PROJECTED, DIT, SD, XL
from workbench.diffusion.loading.source import INDEX
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.schedulers import save_scheduler, to_fields


def save_pipeline(
    pipeline: Pipeline, folder: str | Path, *, shard_bytes: int | None = None
) -> Path:
    """Write every part of a pipeline, and the index that names them.

    Args:
        pipeline: its plan, prompts, steps and guidance are no part of a checkpoint.
        folder: made where missing.
        shard_bytes: spread each part's weights over files of at most this many bytes.

    Returns:
        The folder.

    Raises:
        CheckpointError: the disk refused.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = unet_of(pipeline)
    if isinstance(model, DiT):
        save_dit(model, folder / "transformer", shard_bytes=shard_bytes)
    else:
        save_unet(model, folder / "unet", shard_bytes=shard_bytes)
    save_scheduler(pipeline.scheduler, folder / "scheduler")
    if pipeline.vae is not None:
        save_vae(pipeline.vae, folder / "vae", shard_bytes=shard_bytes)
    if isinstance(pipeline.conditioning, ClassTokens):
        pipeline.conditioning.save(folder / "class_tokens")
        return folder
    sampler = str(to_fields(pipeline.scheduler)["_class_name"])
    if isinstance(model, DiT):
        return _write_index(folder, _dit_index(sampler))
    assert isinstance(pipeline.conditioning, TextConditioning)
    text = pipeline.conditioning
    for index, (tokenizer, encoder) in enumerate(zip(text.tokenizers, text.encoders, strict=True)):
        suffix = "" if index == 0 else f"_{index + 1}"
        tokenizer.save(folder / f"tokenizer{suffix}")
        save_text_encoder(encoder, folder / f"text_encoder{suffix}", shard_bytes=shard_bytes)
    return _write_index(folder, _index(text, sampler))


def _write_index(folder: Path, fields: dict[str, Any]) -> Path:
    replace_text(folder / INDEX, json.dumps(fields, indent=2) + "\n")
    return folder


def unet_of(pipeline: Pipeline) -> Any:
    """The pipeline's UNet or transformer with its weights."""
    graph, state = nnx.split(abstract_unet(pipeline.config, pipeline.precision))
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(state), pipeline.weights))


def _dit_index(sampler: str) -> dict[str, Any]:
    return {
        "_class_name": DIT,
        "scheduler": ["diffusers", sampler],
        "transformer": ["diffusers", "DiTTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def _index(text: TextConditioning, sampler: str) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "_class_name": XL if text.pools else SD,
        "scheduler": ["diffusers", sampler],
        "text_encoder": ["transformers", CLIP],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if text.pools:
        second = {
            "text_encoder_2": ["transformers", CLIP_PROJECTED],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "force_zeros_for_empty_prompt": text.zeros_for_empty,
        }
        return parts | second
    unused = {"safety_checker": [None, None], "feature_extractor": [None, None]}
    return parts | unused | {"requires_safety_checker": False}
