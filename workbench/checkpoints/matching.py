"""Do these tensors fit this model, and are they numbers at all?"""

import difflib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.checkpoints.dtypes import is_floating
from workbench.checkpoints.errors import CheckpointError
from workbench.checkpoints.tensors import Tensors

SHOWN = 5
"""How many names of each kind an error lists."""

_CHUNK = 1 << 22


def match(tensors: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Hold a checkpoint against the names and shapes a model wants; silent when all agree.

    Args:
        tensors: arrays by name, or shapes by name; a lazy `Tensors` is not read.
        expected: shape by name.

    Raises:
        CheckpointError: one message with the first missing, unexpected and misshapen names.
    """
    found = _shapes(tensors)
    missing = sorted(set(expected) - set(found))
    unexpected = sorted(set(found) - set(expected))
    wrong = [n for n in sorted(found.keys() & expected) if found[n] != tuple(expected[n])]
    if not missing and not unexpected and not wrong:
        return
    lines = [f"the checkpoint does not fit: {len(expected)} tensors expected, {len(found)} found"]
    lines += _section(
        "missing", [_with_hint(n, expected[n], found) for n in missing[:SHOWN]], len(missing)
    )
    lines += _section(
        "unexpected", [f"{n} {found[n]}" for n in unexpected[:SHOWN]], len(unexpected)
    )
    lines += _section(
        "wrong shape",
        [f"{n}: found {found[n]}, expected {tuple(expected[n])}" for n in wrong[:SHOWN]],
        len(wrong),
    )
    raise CheckpointError("\n".join(lines))


def require_finite(tensors: Mapping[str, np.ndarray]) -> None:
    """Refuse weights with NaN or infinity in them.

    Raises:
        CheckpointError: names the first tensors concerned, with how many values are bad.
    """
    bad = {}
    for name in tensors:
        array = np.asarray(tensors[name])
        if is_floating(array.dtype) and (count := _not_finite(array)):
            bad[name] = f"{name}: {count} of {array.size}"
    if bad:
        lines = _section("NaN or infinite values", list(bad.values())[:SHOWN], len(bad))
        raise CheckpointError("\n".join(["the weights are not all numbers", *lines]))


def _shapes(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    if isinstance(tensors, Tensors):
        return tensors.shapes
    return {name: tuple(getattr(value, "shape", value)) for name, value in tensors.items()}


def _section(title: str, shown: list[str], total: int) -> list[str]:
    if not total:
        return []
    more = [f"    … and {total - len(shown)} more"] if total > len(shown) else []
    return [f"  {title} ({total}):", *(f"    {line}" for line in shown), *more]


def _with_hint(name: str, shape: tuple[int, ...], found: Mapping[str, tuple[int, ...]]) -> str:
    near = difflib.get_close_matches(name, found, n=1, cutoff=0.6)
    return f"{name} {tuple(shape)}" + (f" (nearest found: {near[0]})" if near else "")


def _not_finite(array: np.ndarray) -> int:
    flat = array.reshape(-1)
    chunks = (flat[i : i + _CHUNK] for i in range(0, math.ceil(flat.size), _CHUNK))
    # float8 has no isfinite of its own; float32 holds every float8 and bfloat16 exactly.
    small = array.dtype.itemsize < 4
    return sum(
        int(np.count_nonzero(~np.isfinite(c.astype(np.float32) if small else c))) for c in chunks
    )
