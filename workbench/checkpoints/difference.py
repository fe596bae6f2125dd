"""A checkpoint kept as its difference from another one, the base, in eight bits.

    w = b + q s,    q = round((w - b) / s) in -127 ... 127,    s = max |w - b| / 127

b is the base's tensor; s is one number for each index of the first axis, which is a kernel's output
channel in the layout of torch. |error| <= s / 2, so that eight bits are plenty where the weights
were fine-tuned from the base and stayed near it. Tensors of fewer than two axes, which are few
numbers, and those that are not floating are kept as they are.

The file is an ordinary safetensors file of `difference.NAME` beside `scale.NAME`, or `whole.NAME`.
Its metadata hold the base's path from the file's own folder, so that both can be moved together,
and the hash of the base's tensors: another base is refused.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from workbench.checkpoints.dtypes import is_floating
from workbench.checkpoints.errors import CheckpointError
from workbench.checkpoints.layout import locate
from workbench.checkpoints.matching import match, require_finite
from workbench.checkpoints.quantizing import quantized
from workbench.checkpoints.tensors import Form, Tensors, form_of, open_stored
from workbench.checkpoints.writing import write_tensors

BASE, BASE_HASH = "difference_base", "difference_base_sha256"
"""Keys of the metadata."""
DIFFERENCE, SCALE, WHOLE = "difference", "scale", "whole"
"""First words of the names in the file."""
FARTHEST = np.finfo(np.float32).max / 2
"""Of a weight from the base's: q s must be a float32."""


def write_difference(
    path: str | Path,
    tensors: Mapping[str, Any],
    base: str | Path,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write tensors as their difference from a base, atomically; `open_tensors` reads their sum.

    Args:
        path: ends in `.safetensors`; in another folder than the base.
        tensors: arrays by name; anything `numpy.asarray` takes. One is converted at a time.
        base: the checkpoint they are near, as `open_tensors` takes it, of the same names and
            shapes, and whole.
        metadata: text by text, kept in the header.

    Returns:
        The file.

    Raises:
        CheckpointError: the base is missing, itself a difference, of other names or shapes, or in
            the folder that is written; NaN; the disk refused.
    """
    path, place = Path(path), Path(base)
    named, forms = _path_between(path, place), {name: form_of(tensors, name) for name in tensors}
    with _about(path):
        origin = _opened(place)
        match({name: form.shape for name, form in forms.items()}, origin.shapes)
    near = origin.cast(np.dtype(np.float32))

    def read(name: str) -> np.ndarray:
        kind, _, key = name.partition(".")
        tensor = np.asarray(tensors[key])
        with _about(path):
            require_finite({key: tensor})
            if kind == WHOLE:
                return tensor
            values, scale = _in_eight_bits(key, tensor, near[key])
        return values if kind == DIFFERENCE else scale

    notes = {**(metadata or {}), BASE: named, BASE_HASH: hash_of_tensors(origin)}
    return write_tensors(path, Tensors(_stored_forms(forms), read, {}), notes)


def is_difference(stored: Tensors) -> bool:
    """Whether tensors as they stand in a file are a difference."""
    return BASE in stored.metadata


def restored(file: Path, stored: Tensors) -> Tensors:
    """The sums that a difference stands for: float32, one tensor at a time.

    Args:
        file: that it was read from.
        stored: the tensors as they stand there.

    Raises:
        CheckpointError: a broken difference, or a base that is missing, changed, itself a
            difference, of other names or shapes, or named by other than a relative path.
    """
    named = stored.metadata[BASE]
    if not _is_relative(named):
        raise CheckpointError(
            f"{file}: the base of this difference is {named!r}; needed a relative path from the "
            "file's folder, with forward slashes"
        )
    place = file.parent / named
    with _about(file):
        forms = _restored_forms(stored)
        base = _opened(place)
        match({name: form.shape for name, form in forms.items()}, base.shapes)
        wanted, found = stored.metadata.get(BASE_HASH, ""), hash_of_tensors(base)
        if wanted != found:
            raise CheckpointError(
                f"this difference was made from weights {wanted[:16]!r}, but its base {place} "
                f"holds {found[:16]!r}; put back the base it was made from"
            )
    near = base.cast(np.dtype(np.float32))

    def read(name: str) -> np.ndarray:
        if f"{WHOLE}.{name}" in stored:
            return stored[f"{WHOLE}.{name}"]
        values, scale = stored[f"{DIFFERENCE}.{name}"], stored[f"{SCALE}.{name}"]
        steps = scale.reshape(len(scale), *[1] * (values.ndim - 1))
        with np.errstate(all="ignore"):  # what is not finite is said next
            whole = np.asarray(near[name], np.float32) + values * steps
        with _about(file):
            require_finite({name: whole})
        return whole

    # Without the base's keys: written again with these notes, it is no difference.
    notes = {k: v for k, v in stored.metadata.items() if k not in (BASE, BASE_HASH)}
    return Tensors(forms, read, notes)


def hash_of_tensors(tensors: Tensors) -> str:
    """SHA-256 of names, types, shapes and values, however they are spread over files.

    Cost: one reading of all of them.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name}\n{array.dtype}\n{tensors.shapes[name]}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _in_eight_bits(
    name: str, tensor: np.ndarray, base: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    difference = tensor.astype(np.float64) - base.astype(np.float64)
    require_finite({f"{name} less the base's": difference})
    if (farthest := np.abs(difference).max(initial=0)) > FARTHEST:
        raise CheckpointError(
            f"tensor {name!r} is {farthest:.3g} from the base's; at most {FARTHEST:.3g} can be kept"
        )
    values, scale = quantized(np.moveaxis(difference, 0, -1))
    return np.moveaxis(values, -1, 0), scale


def _stored_forms(forms: Mapping[str, Form]) -> dict[str, Form]:
    """What stands in the file for tensors of these forms."""
    found = {}
    for name, form in forms.items():
        if len(form.shape) < 2 or not is_floating(form.dtype):
            found[f"{WHOLE}.{name}"] = form
        else:
            found[f"{DIFFERENCE}.{name}"] = Form(np.dtype(np.int8), form.shape)
            found[f"{SCALE}.{name}"] = Form(np.dtype(np.float32), form.shape[:1])
    return found


def _restored_forms(stored: Tensors) -> dict[str, Form]:
    """Forms of the sums; what stands in the file must be what is kept for them, and no more."""
    held = {name: Form(stored.dtypes[name], shape) for name, shape in stored.shapes.items()}
    forms = {}
    for name, form in held.items():
        kind, _, key = name.partition(".")
        if kind == DIFFERENCE:
            forms[key] = Form(np.dtype(np.float32), form.shape)
        elif kind == WHOLE:
            forms[key] = form
    needed = _stored_forms(forms)
    for name in sorted(held.keys() | needed.keys()):
        if held.get(name) != needed.get(name):
            raise CheckpointError(
                f"a broken difference: tensor {name!r} is {_told(held.get(name))}, needed "
                f"{_told(needed.get(name))}"
            )
    return forms


def _told(form: Form | None) -> str:
    return "none" if form is None else f"{form.dtype} {form.shape}"


def _opened(place: Path) -> Tensors:
    """A base, which must be whole."""
    try:
        found = open_stored(locate(place))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the base of this difference cannot be opened: {error}") from error
    if is_difference(found):
        raise CheckpointError(f"its base {place} is itself a difference; needed a whole checkpoint")
    return found


def _path_between(path: Path, place: Path) -> str:
    """The base's path from the folder of the file."""
    folder = path.parent.resolve()
    if folder == (place if place.is_dir() else place.parent).resolve():
        raise CheckpointError(
            f"base={str(place)!r} lies in the folder that {path} is written to; needed another"
        )
    try:
        named = Path(os.path.relpath(place.resolve(), folder)).as_posix()
    except ValueError as error:
        raise CheckpointError(f"base={str(place)!r}: no path from {folder} to it") from error
    if not _is_relative(named):
        raise CheckpointError(f"base={str(place)!r}: its path from {folder} cannot be kept")
    return named


def _is_relative(named: str) -> bool:
    """By the rules of every system: no root, drive or backslash."""
    return named != "" and "\\" not in named and not PureWindowsPath(named).anchor


@contextlib.contextmanager
def _about(file: Path) -> Iterator[None]:
    """Names the file in an error."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
