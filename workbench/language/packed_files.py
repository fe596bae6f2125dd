"""Packed models as files: their configuration beside the weights as they are held."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from kernels_pallas import PackedTernary, pack_ternary, unpack_ternary
from kernels_pallas.ternary import Base3Ternary
from kernels_pallas.ternary.packing import codes_shape
from workbench.checkpoints import CheckpointError, match, open_tensors, replace_text, write_tensors
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.packed import Int8Embedding, PackedBitLinear, abstract_packed
from workbench.model_files import keys
from workbench.model_files.part import CONFIG, read_fields

MODEL_TYPE = "workbench-decoder-packed"
WEIGHTS = "model.safetensors"
LAYOUT = "rows"
"""Order of two-bit codes on disk, whatever the device that computes with them reads."""
Storage = Literal["two_bit", "base3"]
"""Bits a weight on disk: 2, in the order `LAYOUT`, or 1.6; reading puts both in this device's."""


def save_packed(model: Decoder, folder: str | Path, *, storage: Storage = "two_bit") -> Path:
    """Writes a packed model: its configuration, and its weights as they are held.

    Args:
        model: from `pack`.
        folder: made where missing.
        storage: "base3" writes five weights a byte, 1.6 bits each.

    Returns:
        The weights file.

    Raises:
        ValueError: a model that is not packed, or a storage there is not.
        CheckpointError: the disk refused.
    """
    if storage not in ("two_bit", "base3"):
        raise ValueError(f"storage={storage!r} is not known; needed two_bit or base3")
    layers = {path: node for path, node in nnx.iter_graph(model) if _is_packed(node)}
    if not layers:
        raise ValueError("this model is not packed: pack(model) makes one that is")
    tensors = dict(_tensors(model))
    for path, layer in layers.items():
        tensors[keys.key((*path, "codes"))] = _stored(layer.packed, storage)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = write_tensors(folder / WEIGHTS, tensors)
    fields = {
        "model_type": MODEL_TYPE,
        "storage": storage,
        "table": _table_of(model),
        "dtype": jnp.dtype(model.dtype).name,
        "decoder": model.config.record(),
    }
    replace_text(folder / CONFIG, json.dumps(fields, indent=2) + "\n")
    return written


def load_packed(folder: str | Path) -> Decoder:
    """Reads what `save_packed` wrote.

    Raises:
        CheckpointError: names the file, and the keys and shapes that are wrong.
        ValueError: a configuration of another kind.
    """
    folder = Path(folder)
    fields = read_fields(folder)
    if fields.get("model_type") != MODEL_TYPE:
        raise ValueError(
            f"{folder / CONFIG}: model_type={fields.get('model_type')!r}; needed {MODEL_TYPE!r}"
        )
    if missing := {"storage", "table", "dtype", "decoder"} - fields.keys():
        raise ValueError(f"{folder / CONFIG}: has no field {', '.join(sorted(missing))}")
    if fields["storage"] not in ("two_bit", "base3"):
        raise ValueError(
            f"{folder / CONFIG}: storage={fields['storage']!r} is not known; "
            "needed two_bit or base3"
        )
    config = DecoderConfig.model_validate(fields["decoder"])
    model = abstract_packed(config, table=fields["table"], dtype=jnp.dtype(fields["dtype"]))
    tensors = open_tensors(folder / WEIGHTS)
    wanted = {name: tuple(leaf.shape) for name, leaf in _tensors(model)}
    layers = {path: node for path, node in nnx.iter_graph(model) if _is_packed(node)}
    matrices = {keys.key((*path, "codes")): layer.shape for path, layer in layers.items()}
    wanted |= {name: _stored_shape(size, fields["storage"]) for name, size in matrices.items()}
    try:
        match(tensors.shapes, wanted)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    graph, state = nnx.split(model)
    leaves, tree = jax.tree_util.tree_flatten_with_path(state)
    values = []
    for path, _ in leaves:
        name = keys.key(keys.names(path))
        value = jnp.asarray(tensors[name])
        if name in matrices:
            value = _codes(value, matrices[name], fields["storage"])
        values.append(value)
    loaded: Decoder = nnx.merge(graph, jax.tree_util.tree_unflatten(tree, values))
    return loaded


def _is_packed(node: Any) -> bool:
    return isinstance(node, PackedBitLinear)


def _tensors(model: nnx.Module) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(nnx.state(model))[0]:
        yield keys.key(keys.names(path)), leaf


def _table_of(model: Decoder) -> str:
    table = model.model.embeddings
    if isinstance(table, Int8Embedding):
        return "int8"
    return jnp.dtype(table.embedding[...].dtype).name


def _stored_shape(size: tuple[int, int], storage: Storage) -> tuple[int, ...]:
    rows, columns = size
    return (-(-rows // 5), columns) if storage == "base3" else codes_shape(rows, columns, LAYOUT)


@partial(jax.jit, static_argnames="storage")
def _stored(packed: PackedTernary, storage: Storage) -> Array:
    """The codes as files have them."""
    if storage == "two_bit":
        return packed.with_layout(LAYOUT).codes
    stored = pack_ternary(unpack_ternary(packed), storage=storage)
    assert isinstance(stored, Base3Ternary)
    return stored.digits


@partial(jax.jit, static_argnames=("size", "storage"))
def _codes(stored: Array, size: tuple[int, int], storage: Storage) -> Array:
    """The codes as `pack_ternary` orders them here, of those of a file."""
    in_file: PackedTernary | Base3Ternary
    if storage == "two_bit":
        in_file = PackedTernary(stored, *size, LAYOUT)
    else:
        in_file = Base3Ternary(stored, *size)
    packed = pack_ternary(unpack_ternary(in_file))
    assert isinstance(packed, PackedTernary)
    return packed.codes
