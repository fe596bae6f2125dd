"""Tensors of safetensors files by name, read one at a time."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.checkpoints.dtypes import is_floating
from workbench.checkpoints.errors import CheckpointError
from workbench.checkpoints.header import Header, TensorEntry, read_header
from workbench.checkpoints.layout import Layout


@dataclass(frozen=True)
class Form:
    """Type and shape of a tensor."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Tensors(Mapping[str, np.ndarray]):
    """A checkpoint as a mapping that reads a tensor from disk each time it is asked for one.

    Nothing is cached: peak memory is that of the one tensor in hand.

    Args:
        forms: by tensor name, known without reading.
        read: gives the tensor of a name.
        metadata: free text of the file.
        dtype: floating tensors are cast to this as they are read; None leaves them.
    """

    def __init__(
        self,
        forms: Mapping[str, Form],
        read: Callable[[str], np.ndarray],
        metadata: dict[str, str],
        dtype: np.dtype | None = None,
    ) -> None:
        self._forms = forms
        self._read = read
        self._dtype = dtype
        self.metadata = metadata

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._forms:
            raise KeyError(name)
        array = self._read(name)
        if self._dtype is not None and is_floating(array.dtype) and array.dtype != self._dtype:
            return array.astype(self._dtype)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._forms)

    def __len__(self) -> int:
        return len(self._forms)

    def __contains__(self, name: object) -> bool:
        return name in self._forms

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by tensor name, from the headers."""
        return {name: form.shape for name, form in self._forms.items()}

    @property
    def dtypes(self) -> dict[str, np.dtype]:
        """Type by tensor name before any cast, from the headers."""
        return {name: form.dtype for name, form in self._forms.items()}

    def cast(self, dtype: np.dtype | None) -> "Tensors":
        """The same, with floating tensors cast to `dtype` as they are read."""
        return Tensors(self._forms, self._read, self.metadata, dtype)


def form_of(tensors: Mapping[str, Any], name: str) -> Form:
    """Type and shape of one tensor; of a lazy one, nothing is read."""
    if isinstance(tensors, Tensors):
        return Form(tensors.dtypes[name], tensors.shapes[name])
    value = tensors[name]
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    return Form(np.dtype(value.dtype), tuple(value.shape))


def open_stored(layout: Layout) -> Tensors:
    """The tensors of these files as they stand there.

    Raises:
        CheckpointError: a file is truncated or mislabelled, or lacks what its index says.
    """
    headers = {file: read_header(file) for file in layout.files}
    metadata: dict[str, str] = {}
    for header in headers.values():
        metadata |= header.metadata
    if layout.owner is None:
        (file,) = layout.files
        entries = {name: (file, entry) for name, entry in headers[file].entries.items()}
    else:
        entries = _follow_index(layout.owner, headers)

    def read(name: str) -> np.ndarray:
        file, entry = entries[name]
        return _read_one(file, name, entry)

    forms = {name: Form(entry.dtype, entry.shape) for name, (_, entry) in entries.items()}
    return Tensors(forms, read, metadata)


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
