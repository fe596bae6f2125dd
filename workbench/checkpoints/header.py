"""The head of a safetensors file: eight bytes of length, then JSON that says where tensors lie.

Nothing in the header is trusted: every length, type, shape and offset is held against the
others and against the size of the file before a single tensor is read.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.checkpoints.dtypes import NUMPY_DTYPES
from workbench.checkpoints.errors import CheckpointError

LENGTH_BYTES = 8
LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""

PICKLE_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: its type, shape, and byte range `[begin, end)` in the file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """All entries of one file by tensor name, and the file's free-text metadata."""

    entries: dict[str, TensorEntry]
    metadata: dict[str, str]


def refuse_pickle(path: Path) -> None:
    """Stop at a file whose name says pickle, without opening it."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise CheckpointError(
            f"{path}: pickle files are not loaded; convert to safetensors "
            "(a pickle can run any code when it is opened)"
        )


def read_header(path: Path) -> Header:
    """Read and check the header of one safetensors file; no tensor is read.

    Raises:
        CheckpointError: a pickle by name, unreadable, truncated, or inconsistent.
    """
    refuse_pickle(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < LENGTH_BYTES:
                raise CheckpointError(f"{path}: truncated: {size} bytes, too short for a header")
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > min(size - LENGTH_BYTES, LARGEST_HEADER):
                raise CheckpointError(
                    f"{path}: the header claims {length} bytes, but the file has "
                    f"{size - LENGTH_BYTES} after its length field: truncated, or not safetensors"
                )
            raw = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    data_start = LENGTH_BYTES + length
    table = _parse_json(path, raw)
    metadata = _check_metadata(path, table.pop("__metadata__", {}))
    entries = {
        name: _check_entry(path, name, entry, size, data_start) for name, entry in table.items()
    }
    _check_layout(path, entries, data_start, size)
    return Header(entries, metadata)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name appears twice")
    return table


def _parse_json(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        table = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the header is not valid JSON ({error})") from error
    if not isinstance(table, dict):
        raise CheckpointError(
            f"{path}: the header is a JSON {type(table).__name__}, not a table of tensors"
        )
    return table


def _check_metadata(path: Path, metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{path}: __metadata__ must map text to text")
    return metadata


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_entry(path: Path, name: str, entry: Any, size: int, data_start: int) -> TensorEntry:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(
            f"{path}: tensor {name!r} must have exactly dtype, shape and data_offsets"
        )
    label, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(label, str) or label not in NUMPY_DTYPES:
        raise CheckpointError(
            f"{path}: tensor {name!r} has dtype {label!r}; known are {', '.join(NUMPY_DTYPES)}"
        )
    # numpy cannot index beyond 63 bits or 64 axes, empty tensors included.
    if not isinstance(shape, list) or not all(map(_is_count, shape)) or len(shape) > 64:
        raise CheckpointError(f"{path}: tensor {name!r} has an impossible shape {shape!r:.200}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise CheckpointError(f"{path}: tensor {name!r} has bad data_offsets {offsets!r:.200}")
    dtype = NUMPY_DTYPES[label]
    begin, end = data_start + offsets[0], data_start + offsets[1]
    if end > size:
        raise CheckpointError(
            f"{path}: truncated: tensor {name!r} ends at byte {end}, the file at byte {size}"
        )
    if math.prod(max(axis, 1) for axis in shape) * dtype.itemsize >= 2**63:
        raise CheckpointError(f"{path}: tensor {name!r} has an impossible shape {shape!r:.200}")
    needed = math.prod(shape) * dtype.itemsize
    if end - begin != needed:
        raise CheckpointError(
            f"{path}: tensor {name!r} is mislabelled: {label} of shape {tuple(shape)} takes "
            f"{needed} bytes, its offsets give {end - begin}"
        )
    return TensorEntry(dtype, tuple(shape), begin, end)


def _check_layout(path: Path, entries: dict[str, TensorEntry], data_start: int, size: int) -> None:
    """Tensors must fill the rest of the file: no overlap, no hole, nothing after the last."""
    position = data_start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            fault = "overlaps the tensor before it" if entry.begin < position else "leaves a hole"
            raise CheckpointError(
                f"{path}: tensor {name!r} {fault}: it begins at byte {entry.begin}, "
                f"expected {position}"
            )
        position = entry.end
    if position != size:
        raise CheckpointError(
            f"{path}: {size - position} bytes after the last tensor belong to nothing"
        )
