"""Write safetensors so that a reader sees the old checkpoint or the new one, never a mixture.

A file is written beside its target and renamed over it. A sharded set gives its shards fresh
names; renaming the index over the old one is the switch.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.atomic import replace_file
from workbench.checkpoints.dtypes import safetensors_name
from workbench.checkpoints.errors import CheckpointError, clear_write_error
from workbench.checkpoints.header import LENGTH_BYTES
from workbench.checkpoints.layout import SUFFIX
from workbench.checkpoints.tensors import Form, form_of


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
) -> Path:
    """Write tensors to `path`, atomically; the file it replaces stays whole until the switch.

    Args:
        path: ends in `.safetensors`. Sharded, `model.safetensors.index.json` is written and the
            shards lie beside it.
        tensors: arrays by name; anything `numpy.asarray` takes. One is converted at a time.
        metadata: text by text, kept in the header.
        shard_bytes: tensors are spread over files of at most this many bytes of data (a larger
            tensor gets a file of its own); None writes one file.

    Returns:
        The file to read back: the `.safetensors`, or the index.

    Raises:
        CheckpointError: bad name, unsupported dtype, or the disk refused (full, read-only).
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise CheckpointError(f"path={str(path)!r} must end in {SUFFIX}")
    if shard_bytes is not None and shard_bytes < 1:
        raise CheckpointError(f"shard_bytes={shard_bytes} must be at least 1")
    notes = dict(metadata or {})
    for key, value in notes.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise CheckpointError(f"metadata[{key!r}] must be text, got {type(value).__name__}")
    forms = _forms(tensors)
    total = sum(form.size for form in forms.values())
    index = path.with_name(path.name + ".index.json")
    if shard_bytes is not None and total > shard_bytes:
        return _write_sharded(path, index, tensors, _shards(forms, shard_bytes), notes)
    with clear_write_error(path, total):
        replace_file(path, _file_pieces(tensors, forms, notes))
    old = _shards_named_in(index)
    index.unlink(missing_ok=True)
    _remove(path.parent, old)
    return path


def remove_tensors(path: str | Path) -> None:
    """Delete what `write_tensors` wrote to `path`, be it one file or a sharded set."""
    path = Path(path)
    index = path.with_name(path.name + ".index.json")
    old = _shards_named_in(index)
    index.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    _remove(path.parent, old)


def replace_text(path: str | Path, text: str) -> Path:
    """Write the text that stands beside tensors, such as `config.json`, atomically too.

    Raises:
        CheckpointError: the disk refused (full, read-only).
    """
    path, content = Path(path), text.encode()
    with clear_write_error(path, len(content)):
        replace_file(path, [content])
    return path


def _write_sharded(
    path: Path,
    index: Path,
    tensors: Mapping[str, Any],
    shards: list[dict[str, Form]],
    notes: dict[str, str],
) -> Path:
    mark = secrets.token_hex(4)
    names = [
        f"{path.stem}-{mark}-{i:05}-of-{len(shards):05}{SUFFIX}" for i in range(1, len(shards) + 1)
    ]
    total = sum(form.size for shard in shards for form in shard.values())
    owner = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    table = {"metadata": {"total_size": total}, "weight_map": owner}
    old = _shards_named_in(index)
    try:
        with clear_write_error(path, total):
            for name, shard in zip(names, shards, strict=True):
                replace_file(path.with_name(name), _file_pieces(tensors, shard, notes))
            replace_file(index, [json.dumps(table, indent=1).encode()])
    except BaseException:
        # Interrupted between the switch and here, the new shards are already the checkpoint.
        _remove(path.parent, set(names) - _shards_named_in(index))
        raise
    path.unlink(missing_ok=True)
    _remove(path.parent, old)
    return index


def _forms(tensors: Mapping[str, Any]) -> dict[str, Form]:
    """Type and shape by name; widest element first, so that every tensor lies aligned."""
    forms = {}
    for name in tensors:
        if not isinstance(name, str) or name == "__metadata__":
            raise CheckpointError(f"tensor name {name!r} must be text other than '__metadata__'")
        forms[name] = form_of(tensors, name)
        safetensors_name(forms[name].dtype, name)
    return dict(sorted(forms.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))


def _shards(forms: dict[str, Form], shard_bytes: int) -> list[dict[str, Form]]:
    shards: list[dict[str, Form]] = [{}]
    room = shard_bytes
    for name, form in forms.items():
        if shards[-1] and form.size > room:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = form
        room -= form.size
    return shards


def _file_pieces(
    tensors: Mapping[str, Any], forms: dict[str, Form], notes: dict[str, str]
) -> Iterator[bytes | memoryview]:
    table: dict[str, Any] = {"__metadata__": notes} if notes else {}
    position = 0
    for name, form in forms.items():
        table[name] = {
            "dtype": safetensors_name(form.dtype, name),
            "shape": list(form.shape),
            "data_offsets": [position, position + form.size],
        }
        position += form.size
    head = json.dumps(table, separators=(",", ":")).encode()
    head += b" " * (-len(head) % LENGTH_BYTES)
    yield len(head).to_bytes(LENGTH_BYTES, "little")
    yield head
    for name, form in forms.items():
        array = np.ascontiguousarray(np.asarray(tensors[name]), form.dtype.newbyteorder("<"))
        if array.nbytes != form.size:
            raise CheckpointError(f"tensor {name!r} changed its shape while it was written")
        yield array.reshape(-1).view(np.uint8).data


def _shards_named_in(index: Path) -> set[str]:
    """Shard files of a set under this index, as far as the index can be read."""
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
    stem = index.name.removesuffix(f"{SUFFIX}.index.json")
    return {
        name
        for name in names
        if isinstance(name, str)
        and Path(name).name == name
        and name.startswith(f"{stem}-")
        and name.endswith(SUFFIX)
    }


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
