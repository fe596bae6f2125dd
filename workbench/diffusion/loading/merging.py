"""LoRA files merged into a pipeline's weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from workbench.checkpoints import CheckpointError, Tensors
from workbench.diffusion.costs import abstract_unet
from workbench.diffusion.folder_hash import hash_of_weights
from workbench.diffusion.loading.lora import Change, delta, read_lora
from workbench.diffusion.loading.single_files import unet_aliases
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.prompts import TextConditioning
from workbench.diffusion.unet.config import UNetConfig
from workbench.model_files import keys

Paths = dict[str, tuple[keys.Path, tuple[int, ...]]]
"""Place and file shape of each kernel, by module name."""


def merged(pipeline: Pipeline, file: str | Path, scale: float = 1.0) -> Pipeline:
    """The pipeline with the low-rank changes of a LoRA file in its weights.

    W' = W + scale (alpha / rank) B A (Hu et al. 2022, section 4.1); nothing is computed later.

    Args:
        pipeline: keeps its own weights.
        file: `.safetensors`, with the names of common trainers or of peft.
        scale: share of the change; 0 is none, negative the opposite.

    Raises:
        CheckpointError: a broken file, or a key that fits no module; named.
        ValueError: weights in int8, which no small change fits into, kernels that are kept
            transformed, or a model without text.
    """
    file = Path(file)
    if pipeline.precision.name == "int8":
        raise ValueError(
            f"{pipeline.name}: LoRA cannot be merged into int8 weights; load with dtype='bfloat16' "
            "or 'float32'"
        )
    if pipeline.precision.transformed is not None:
        raise ValueError(
            f"{pipeline.name}: LoRA cannot be merged into kernels that are kept transformed; load "
            "without kept_transforms"
        )
    text = pipeline.conditioning
    if not isinstance(text, TextConditioning) or not isinstance(pipeline.config, UNetConfig):
        raise ValueError(f"{pipeline.name}: LoRA files are for UNets that read text")
    names = ["text_encoder", "text_encoder_2"][: len(text.encoders)]
    unet = abstract_unet(pipeline.config, pipeline.precision)
    kernels = {"unet": _kernels(unet)}
    kernels |= {name: _kernels(e) for name, e in zip(names, text.encoders, strict=True)}
    aliases = unet_aliases(pipeline.config, list(kernels["unet"]))
    tensors, changes = read_lora(file, kernels, aliases)

    def changed(part: str, weights: Any) -> list[Array]:
        own = {name: change for (where, name), change in changes.items() if where == part}
        return _with(weights, own, kernels[part], tensors, scale, file)

    _, state = nnx.split(unet)
    new_unet = changed("unet", jax.tree.unflatten(jax.tree.structure(state), pipeline.weights))
    encoders = [
        _rebuilt(encoder, partial(changed, name))
        for name, encoder in zip(names, text.encoders, strict=True)
    ]
    mark = f"{pipeline.weights_hash} + {scale} × {hash_of_weights(file)}"
    return replace(
        pipeline,
        weights=tuple(new_unet),
        conditioning=replace(text, encoders=tuple(encoders), _read={}),
        weights_hash=hashlib.sha256(mark.encode()).hexdigest()[:16],
    )


def _kernels(model: Any) -> Paths:
    found: Paths = {}
    for path, leaf in keys.variables(model):
        if path[-1] == "kernel":
            axes = keys.file_axes(path, len(leaf.shape))
            name = keys.key(path).removesuffix(".weight")
            found[name] = path, tuple(leaf.shape[axis] for axis in axes)
    return found


def _rebuilt(model: Any, change: Callable[[Any], list[Array]]) -> Any:
    graph, state = nnx.split(model)
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(state), change(state)))


def _with(
    weights: Any,
    changes: Mapping[str, Change],
    kernels: Paths,
    tensors: Tensors,
    scale: float,
    file: Path,
) -> list[Array]:
    """The leaves of a model's weights, those of changed modules with their change added."""
    by_path = {kernels[name][0]: name for name in changes}
    leaves, _ = jax.tree_util.tree_flatten_with_path(weights)
    new = []
    for path, leaf in leaves:
        name = by_path.get(keys.names(path))
        if name is None:
            new.append(leaf)
            continue
        place, shape = kernels[name]
        try:
            more = keys.from_file(place, delta(tensors, changes[name], shape, scale))
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {error}") from error
        new.append(jnp.asarray((np.asarray(leaf, np.float32) + more).astype(leaf.dtype)))
    return new
