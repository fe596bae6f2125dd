"""Language models as folders: those of other libraries read and written unchanged, and our own.

`load` and `save` find the family by `model_type`; each family is one file here with a `LAYOUT`.
"""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.checkpoints import CheckpointError, open_tensors, replace_text
from workbench.language.loading.layout import SPECIAL, Layout, Split, shapes_of
from workbench.language.loading.tokenizers import (
    Tokenizer,
    read_tokenizer,
    require_vectors,
    write_tokenizer,
)
from workbench.model_files import hub
from workbench.model_files.part import CONFIG, read_fields

if TYPE_CHECKING:
    from workbench.language.config import DecoderConfig
    from workbench.language.decoder import Decoder

__all__ = ["Layout", "Tokenizer", "layout_for", "layout_of", "load", "save"]

# The module of each family, by its `model_type`.
FAMILIES = {
    "gla": "gla",
    "hgrn_bit": "matmulfree",
    "llama": "llama",
    "mistral": "mistral",
    "workbench-decoder": "own",
}
INDEX = "model.safetensors.index.json"
HEAD, TABLE = "lm_head.weight", "model.embeddings.weight"


def load(source: str | Path, *, dtype: Any = "float32") -> tuple[Decoder, Tokenizer | None]:
    """A model and its tokenizer, of a folder or a hub name.

    Args:
        source: a folder with `config.json` and safetensors, whole or sharded, or "owner/model",
            which is looked for in the hub's cache and then fetched.
        dtype: "float32", "bfloat16" or "int8", whatever the file holds; what is then computed in,
            `workbench.model_files.precision` says.

    Returns:
        The model, whose `special_tokens` are the ids its file names, and the tokenizer: None, with
        a warning, where the folder has none.

    Raises:
        CheckpointError: no such folder, a missing shard, keys or shapes that are wrong, NaN.
        ValueError: an unknown model type, a field or value that is not supported, or a tokenizer
            with an id the model has no vector for.

    Cost: memory of the weights and one tensor.
    """
    folder = hub.find(
        source,
        index=CONFIG,
        is_whole=_is_whole,
        wanted=["*.json", "*.safetensors"],
        unwanted=["*/*"],
    )
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: not a folder with {CONFIG} and weights")
    fields = read_fields(folder)
    try:
        layout = layout_of(fields.get("model_type"))
        config = layout.read(fields)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error
    tokenizer = read_tokenizer(folder, config.vocab_size)
    tensors = open_tensors(folder, dtype=np.float32)
    try:
        opened = _one_head(layout.opened(tensors, config), config, layout)
        model: Decoder = layout.part.build(config, opened, dtype=dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    model.special_tokens = _special_tokens(fields)
    if tokenizer is None:
        warnings.warn(
            f"{folder}: no tokenizer.json: the model reads and writes ids, not text", stacklevel=2
        )
    return model, tokenizer


def save(
    model: Decoder,
    folder: str | Path,
    tokenizer: Tokenizer | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
) -> Path:
    """Writes a model as its family's own library reads it; one of no family in our own layout.

    Args:
        model: with its weights; int8 kernels become float32.
        folder: made where missing.
        tokenizer: written beside it.
        metadata: text for the header of the weights.
        shard_bytes: spread the weights over files of at most this many bytes.

    Returns:
        The weights file, or its index when sharded.

    Raises:
        CheckpointError: the disk refused.
        ValueError: a tokenizer with an id the model has no vector for.
    """
    folder = Path(folder)
    if tokenizer is not None:
        require_vectors(tokenizer, model.config.vocab_size)
    layout = layout_for(model.config)
    written = layout.part.save(model, folder, metadata=metadata, shard_bytes=shard_bytes)
    if model.special_tokens:
        fields = {**read_fields(folder), **dict(model.special_tokens)}
        replace_text(folder / CONFIG, json.dumps(fields, indent=2) + "\n")
    if tokenizer is not None:
        write_tokenizer(tokenizer, folder)
    return written


def layout_of(model_type: Any) -> Layout:
    """The layout of a `model_type`.

    Raises:
        ValueError: one that is not read here; names those that are.
    """
    if model_type not in FAMILIES:
        near = difflib.get_close_matches(str(model_type), FAMILIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"model_type={model_type!r} is not supported; supported: {known}{hint}")
    return _module(FAMILIES[model_type])


def layout_for(config: DecoderConfig) -> Layout:
    """The layout a model is written in: its family's, or else our own."""
    for name in dict.fromkeys(FAMILIES.values()):
        if name != "own" and _module(name).write(config) is not None:
            return _module(name)
    return _module("own")


def _module(name: str) -> Layout:
    layout: Layout = import_module(f"{__name__}.{name}").LAYOUT
    return layout


def _is_whole(folder: Path) -> bool:
    """Whether a folder in the cache has its weights."""
    index = folder / INDEX
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        return True  # its reader says what is wrong with it
    return all((folder / shard).is_file() for shard in shards)


def _special_tokens(fields: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Names and ids; several ids for one name are a tuple."""
    found = {name: fields[name] for name in SPECIAL if fields.get(name) is not None}
    return tuple((n, tuple(v) if isinstance(v, list) else v) for n, v in found.items())


def _one_head(
    tensors: Mapping[str, Any], config: DecoderConfig, layout: Layout
) -> Mapping[str, Any]:
    """The tensors without a head that is the embedding once more.

    Raises:
        CheckpointError: the configuration says they are one, and they are not.
    """
    names = {layout.ours(name): name for name in shapes_of(tensors)}
    if not config.tie_word_embeddings or HEAD not in names or TABLE not in names:
        return tensors
    if not np.array_equal(tensors[names[HEAD]], tensors[names[TABLE]]):
        raise CheckpointError(
            f"tie_word_embeddings=True, but {names[HEAD]} differs from {names[TABLE]}; "
            "set it to false to read with that head"
        )
    return Split(tensors, {names[HEAD]: ()})
