"""Read tensors from safetensors, one at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from workbench.checkpoints.dtypes import floating_dtype, is_floating
from workbench.checkpoints.errors import CheckpointError
from workbench.checkpoints.header import Header, TensorEntry, read_header
from workbench.checkpoints.layout import locate


class Tensors(Mapping[str, np.ndarray]):
    """A checkpoint as a mapping that reads a tensor from disk each time it is asked for one.

    Nothing is cached: peak memory is that of the one tensor in hand.
    """

    def __init__(
        self,
        entries: dict[str, tuple[Path, TensorEntry]],
        metadata: dict[str, str],
        dtype: np.dtype | None = None,
    ) -> None:
        self._entries = entries
        self._dtype = dtype
        self.metadata = metadata

    def __getitem__(self, name: str) -> np.ndarray:
        path, entry = self._entries[name]
        array = _read_one(path, name, entry)
        if self._dtype is not None and is_floating(array.dtype) and array.dtype != self._dtype:
            return array.astype(self._dtype)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by tensor name, from the headers."""
        return {name: entry.shape for name, (_, entry) in self._entries.items()}

    @property
    def dtypes(self) -> dict[str, np.dtype]:
        """Type on disk by tensor name, from the headers."""
        return {name: entry.dtype for name, (_, entry) in self._entries.items()}


def open_tensors(
    path: str | Path, *, dtype: object | None = None, variant: str | None = None
) -> Tensors:
    """Open a checkpoint; headers are read and checked now, tensors when they are asked for.

    Args:
        path: a `.safetensors` file, a `.safetensors.index.json`, or a folder with one of them.
        dtype: floating tensors are cast to this as they are read; others keep theirs.
        variant: a precision variant such as `"fp16"`, where a folder holds several.

    Raises:
        CheckpointError: pickle, truncated, mislabelled, missing shard, or ambiguous folder.
    """
    target = None if dtype is None else floating_dtype(dtype)
    layout = locate(path, variant)
    headers = {file: read_header(file) for file in layout.files}
    metadata: dict[str, str] = {}
    for header in headers.values():
        metadata |= header.metadata
    if layout.owner is None:
        (file,) = layout.files
        entries = {name: (file, entry) for name, entry in headers[file].entries.items()}
    else:
        entries = _follow_index(layout.owner, headers)
    return Tensors(entries, metadata, target)


def read_tensors(
    path: str | Path, *, dtype: object | None = None, variant: str | None = None
) -> dict[str, np.ndarray]:
    """Read a whole checkpoint into memory; arguments and errors as in `open_tensors`.

    Cost: the size of the result plus one tensor.
    """
    tensors = open_tensors(path, dtype=dtype, variant=variant)
    return {name: tensors[name] for name in tensors}


def tensor_shapes(path: str | Path, *, variant: str | None = None) -> dict[str, tuple[int, ...]]:
    """Shape by tensor name, read from the headers alone."""
    return open_tensors(path, variant=variant).shapes


def _follow_index(
    owner: dict[str, Path], headers: dict[Path, Header]
) -> dict[str, tuple[Path, TensorEntry]]:
    entries = {}
    for name, shard in owner.items():
        entry = headers[shard].entries.get(name)
        if entry is None:
            raise CheckpointError(f"{shard}: the index says tensor {name!r} is here; it is not")
        entries[name] = (shard, entry)
    return entries


def _read_one(path: Path, name: str, entry: TensorEntry) -> np.ndarray:
    raw = np.empty(entry.end - entry.begin, np.uint8)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(entry.begin)
            filled = 0
            while filled < raw.size:  # one read gives at most 2 GiB on Linux
                got = file.readinto(raw[filled:].data)
                if not got:
                    raise CheckpointError(f"{path}: truncated while tensor {name!r} was read")
                filled += got
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if entry.dtype == np.bool_ and raw.size and raw.max() > 1:
        raise CheckpointError(f"{path}: tensor {name!r} is mislabelled: BOOL with other than 0, 1")
    return raw.view(entry.dtype).reshape(entry.shape)
