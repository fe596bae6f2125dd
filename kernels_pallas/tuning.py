"""Block sizes as data: `tuned.json` in an op's folder, by form, then device.

    {"mosaic_tpu": {"default": {"chunk": 128}, "TPU v5 lite": {"chunk": 64}}}

A device's entry overrides single values of the default; a kind matches by the longest name that
it begins with.
"""

from __future__ import annotations

import functools
import json
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
    table = _table(op)[form]
    named = [name for name in table if name != "default" and kind.startswith(name)]
    own = table[max(named, key=len)] if named else {}
    return {**table["default"], **own}


@functools.cache
def _table(op: str) -> dict[str, Any]:
    file = resources.files("kernels_pallas") / op / "tuned.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
