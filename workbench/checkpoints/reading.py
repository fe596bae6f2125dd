"""Open a checkpoint, whatever form it is kept in."""

from pathlib import Path

import numpy as np

from workbench.checkpoints.difference import is_difference, restored
from workbench.checkpoints.dtypes import floating_dtype
from workbench.checkpoints.layout import locate
from workbench.checkpoints.tensors import Tensors, open_stored


def open_tensors(
    path: str | Path, *, dtype: object | None = None, variant: str | None = None
) -> Tensors:
    """Open a checkpoint; headers are read and checked now, tensors when they are asked for.

    One that stands as a difference from another is read as the sum of both.

    Args:
        path: a `.safetensors` file, a `.safetensors.index.json`, or a folder with one of them.
        dtype: floating tensors are cast to this as they are read; others keep theirs.
        variant: a precision variant such as `"fp16"`, where a folder holds several.

    Raises:
        CheckpointError: pickle, truncated, mislabelled, missing shard, or ambiguous folder; a
            difference whose base is missing, changed, or of another form.

    Cost: of a difference, one reading of its base, which is held against its hash.
    """
    target = None if dtype is None else floating_dtype(dtype)
    layout = locate(path, variant)
    stored = open_stored(layout)
    whole = restored(layout.files[0], stored) if is_difference(stored) else stored
    return whole.cast(target)


def read_tensors(
    path: str | Path, *, dtype: object | None = None, variant: str | None = None
) -> dict[str, np.ndarray]:
    """Read a whole checkpoint into memory; arguments and errors as in `open_tensors`.

    Cost: the size of the result plus one tensor.
    """
    tensors = open_tensors(path, dtype=dtype, variant=variant)
    return {name: tensors[name] for name in tensors}


def tensor_shapes(path: str | Path, *, variant: str | None = None) -> dict[str, tuple[int, ...]]:
    """Shape by tensor name; arguments and errors as in `open_tensors`."""
    return open_tensors(path, variant=variant).shapes
