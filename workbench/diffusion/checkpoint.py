"""UNets in a diffusers model folder: `config.json` beside `diffusion_pytorch_model.safetensors`.

Module attributes carry the format's own names, so a key is the path to a parameter with the leaf
renamed, and a tensor is the parameter with its axes turned.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.checkpoints import (
    CheckpointError,
    match,
    open_tensors,
    require_finite,
    write_tensors,
)
from workbench.diffusion.unet import UNet2DCondition, UNetConfig

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"

_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias"}
# Axes of the file's tensor from ours: a product's kernel is transposed, a convolution's is HWIO
# here and OIHW there.
_TO_FILE = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
_FROM_FILE = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def load_unet(
    folder: str | Path, *, dtype: Any = jnp.float32, variant: str | None = None
) -> UNet2DCondition:
    """Read a UNet; parameters are float32 whatever the file holds.

    Args:
        folder: holds `config.json` and the weights, whole or sharded.
        dtype: what it computes in.
        variant: a precision variant, such as "fp16", where the folder has several.

    Raises:
        CheckpointError: names the file, and the keys and shapes that are wrong.
        ValueError: a configuration this model does not have; names field and value.
    """
    folder = Path(folder)
    config = load_config(folder)
    unet = nnx.eval_shape(lambda: UNet2DCondition(config, dtype=dtype, rngs=nnx.Rngs(0)))
    tensors = open_tensors(folder, dtype=np.float32, variant=variant)
    try:
        match(tensors, file_shapes(unet))
        require_finite(tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    graph, state = nnx.split(unet)
    paths, tree = jax.tree_util.tree_flatten_with_path(state)
    leaves = []
    for path, leaf in paths:
        tensor = tensors[key(path)]
        turned = np.ascontiguousarray(tensor.transpose(_FROM_FILE[tensor.ndim]))
        leaves.append(jnp.asarray(turned, leaf.dtype))
    return nnx.merge(graph, jax.tree_util.tree_unflatten(tree, leaves))


def save_unet(
    unet: UNet2DCondition,
    folder: str | Path,
    *,
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
) -> Path:
    """Write a UNet so that diffusers reads it too.

    Args:
        unet: model with its weights.
        folder: made where missing.
        metadata: text for the file's header.
        shard_bytes: spread the weights over files of at most this many bytes.

    Returns:
        The weights file, or its index when sharded.

    Raises:
        CheckpointError: the disk refused.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(_file_tensors(unet))
    notes = {"format": "pt", **(metadata or {})}
    written = write_tensors(folder / WEIGHTS, tensors, notes, shard_bytes)
    fields = unet.config.to_file_fields()
    (folder / CONFIG).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    return written


def load_config(folder: str | Path) -> UNetConfig:
    """Read the `config.json` of a UNet.

    Raises:
        ValueError: missing, not JSON, of another class, or with a field or value not supported.
    """
    file = Path(folder) / CONFIG
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{file}: holds {type(fields).__name__}, needed an object of fields")
    name = fields.get("_class_name", "UNet2DConditionModel")
    if name != "UNet2DConditionModel":
        raise ValueError(f"{file}: _class_name={name!r}; needed 'UNet2DConditionModel'")
    try:
        return UNetConfig.from_file_fields(fields)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def file_shapes(unet: UNet2DCondition) -> dict[str, tuple[int, ...]]:
    """Key and shape of every tensor in the file of this model."""
    paths, _ = jax.tree_util.tree_flatten_with_path(nnx.state(unet, nnx.Param))
    return {
        key(path): tuple(leaf.shape[axis] for axis in _TO_FILE[len(leaf.shape)])
        for path, leaf in paths
    }


def key(path: tuple[Any, ...]) -> str:
    """The file's name for a parameter: its path, the leaf renamed."""
    parts = [str(p.key) for p in path[:-1]]  # the last step is into the variable itself
    return ".".join([*parts[:-1], _LEAF[parts[-1]]])


def _file_tensors(unet: UNet2DCondition) -> Iterator[tuple[str, np.ndarray]]:
    paths, _ = jax.tree_util.tree_flatten_with_path(nnx.state(unet, nnx.Param))
    for path, leaf in paths:
        array = np.asarray(leaf)
        yield key(path), np.ascontiguousarray(array.transpose(_TO_FILE[array.ndim]))
