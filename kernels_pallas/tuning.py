"""What was measured, as data: `tuned.json` in an op's folder.

Block sizes, by form, then device:

    {"mosaic_tpu": {"default": {"chunk": 128}, "TPU v5 lite": {"chunk": 64}}}

A device's entry overrides single values of the default; a kind matches by the longest name that
it begins with.

Or seconds of each form at measured shapes, by class of processor:

    {"AVX2": {"measured": [{"rows": 25088, "inputs": 1, "seconds": {"xla": 0.112, "taps": 0.004}}]}}
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from typing import Any


def blocks(op: str, form: str, kind: str = "") -> dict[str, int]:
    """Block sizes of a form on a device.

    Args:
        op: folder of the op.
        form: "mosaic_tpu", "mosaic_gpu" or "xla".
        kind: the device's name; the defaults alone when empty.

    Raises:
        KeyError: if the op has no sizes for the form.
    """
    known = table(op)[form]
    named = [name for name in known if name != "default" and kind.startswith(name)]
    own = known[max(named, key=len)] if named else {}
    return {**known["default"], **own}


@functools.cache
def fastest(op: str, processor: str, weights: tuple[tuple[str, float], ...], *sizes: float) -> str:
    """The form that was fastest at the measured shape most like this one.

    Args:
        op: folder of the op.
        processor: class of it; the first one measured where this class was not.
        weights: axes of a shape, and what each counts in the squared distance of logarithms.
        sizes: of this shape along these axes, above 0.
    """
    known = table(op)
    points = known.get(processor, next(iter(known.values())))["measured"]

    def distance(one: dict[str, Any]) -> float:
        return sum(
            weight * math.log2(one[axis] / size) ** 2
            for (axis, weight), size in zip(weights, sizes, strict=True)
        )

    seconds: dict[str, float] = min(points, key=distance)["seconds"]
    return min(seconds, key=lambda form: seconds[form])


@functools.cache
def table(op: str) -> dict[str, Any]:
    """All that an op's file holds."""
    file = resources.files("kernels_pallas") / op / "tuned.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
