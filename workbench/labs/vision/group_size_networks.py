"""The networks of the group-size page, their layers counted and their times taken before.

`python -m workbench.labs.vision.group_size_record` writes both anew. Building a network takes
seconds and jax; sums over its recorded layers take neither, so that a slider is answered at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from workbench import shipped
from workbench.vision.conv_shapes import Outline

FOLDER, LAYERS, TIMES = "data/group-size", "layers.json", "times.json"
MOBILENET, RESNEXT = "mobilenetv1_100", "resnext50_32x4d"
SMALL_MOBILENET, SMALL_RESNEXT = "our_small_mobilenet_v1", "our_small_resnext"

NAMES = {
    MOBILENET: "MobileNet-V1",
    RESNEXT: "ResNeXt-50",
    SMALL_MOBILENET: "Small MobileNet-V1 (ours)",
    SMALL_RESNEXT: "Small ResNeXt (ours)",
}

STUDIED = {
    MOBILENET: SMALL_MOBILENET,
    SMALL_MOBILENET: SMALL_MOBILENET,
    RESNEXT: SMALL_RESNEXT,
    SMALL_RESNEXT: SMALL_RESNEXT,
}
"""The network of the same blocks that was trained for each."""

SIZES = (1, 2, 4, 8, 16, 32)
"""Channels of a group, or groups, that can be asked for."""


@cache
def outline(network: str) -> Outline:
    """The layers of a network."""
    return Outline.read(_read(LAYERS)[network])


def sizes(network: str) -> tuple[int, ...]:
    """Group sizes that divide every spatial convolution of a network."""
    return tuple(s for s in SIZES if all(width % s == 0 for width in outline(network).widths))


def recorded_times() -> Mapping[str, Any]:
    """Device, date, command, and by network the times of a pass by rule and number."""
    return _read(TIMES)


@cache
def _read(name: str) -> dict[str, Any]:
    return json.loads((shipped.path(FOLDER) / name).read_text(encoding="utf-8"))
