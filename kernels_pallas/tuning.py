"""What was measured, as data: `tuned.json` in an op's folder.

Block sizes, by form, then device:

    {"mosaic_tpu": {"default": {"chunk": 128}, "TPU v5 lite": {"chunk": 64}}}

A device's entry overrides single values of the default; a kind matches by the longest name that
it begins with.

Or seconds of each form at measured shapes, by class of processor:

    {"AVX2": {"measured": [{"rows": 25088, "inputs": 1, "seconds": {"xla": 0.112, "taps": 0.004}}]}}

A class that was not measured takes the times of another, which `basis` names.
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from typing import Any

from kernels_pallas.processor import processor as this_processor

COMMON = "AVX2"
"""The class whose times decide for a processor of a class that was not measured."""


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
def fastest(
    op: str,
    processor: str,
    weights: tuple[tuple[str, float], ...],
    *sizes: float,
    of: str = "seconds",
) -> str:
    """The form that was fastest at the measured shape most like this one.

    Args:
        op: folder of the op.
        processor: class of it; see `deciding`.
        weights: axes of a shape, and what each counts in the squared distance of logarithms.
        sizes: of this shape along these axes, above 0.
        of: what was measured.
    """
    points = measured(op, processor, of)

    def distance(one: dict[str, Any]) -> float:
        return sum(
            weight * math.log2(one[axis] / size) ** 2
            for (axis, weight), size in zip(weights, sizes, strict=True)
        )

    seconds: dict[str, float] = min(points, key=distance)[of]
    return min(seconds, key=lambda form: seconds[form])


def deciding(op: str, processor: str) -> str:
    """The class whose times decide for a processor: its own, else `COMMON`, else the first."""
    known = table(op)
    return next((name for name in (processor, COMMON) if name in known), next(iter(known)))


def measured(op: str, processor: str, of: str = "seconds") -> list[dict[str, Any]]:
    """Shapes with the seconds of each form, of the class that decides for a processor.

    Args:
        op: folder of the op.
        processor: class of it.
        of: name of the seconds; where that class has none of them, those of another decide.
    """
    known = table(op)
    names = dict.fromkeys([deciding(op, processor), *known])
    points = ([one for one in known[name]["measured"] if of in one] for name in names)
    return next(filter(None, points), [])


def basis(op: str, processor: str = "") -> str:
    """By whose times an op chooses: "by times of AVX2, for AVX-512 has none".

    Args:
        op: folder of the op, whose file holds times.
        processor: class of it; this machine's when empty.
    """
    here = processor or this_processor()
    name = deciding(op, here)
    return f"by times of {name}" + ("" if name == here else f", for {here} has none")


@functools.cache
def table(op: str) -> dict[str, Any]:
    """All that an op's file holds."""
    file = resources.files("kernels_pallas") / op / "tuned.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
