"""The form of the group-size page: a network, its groups, and what energy costs."""

from __future__ import annotations

from typing import Literal

from workbench.labs.vision.group_size_networks import (
    MOBILENET,
    NAMES,
    RESNEXT,
    SMALL_RESNEXT,
    outline,
    sizes,
)
from workbench.panels.view import KnobGroup, Preset, Problem, Values
from workbench.study.knobs import Knobs, knob
from workbench.vision.conv_shapes import ConvShape
from workbench.vision.energy import Prices

NETWORK, GROUPS_OF, ENERGY = "network", "groups", "energy"
ITEM_SIZES = {"float32": 4, "bfloat16": 2, "int8": 1}


class NetworkKnobs(Knobs):
    """What is computed, and on what."""

    network: Literal[
        "mobilenetv1_100", "resnext50_32x4d", "our_small_mobilenet_v1", "our_small_resnext"
    ] = knob(
        MOBILENET,
        label="Network",
        help="Those of E2GC, and two of the same blocks, ours, that were trained for the study.",
        choices=NAMES,
    )
    size: int = knob(
        224, ge=16, le=512, step=8, unit="px", label="Picture", help="Height and width."
    )
    batch: int = knob(1, ge=1, le=256, scale="log", label="Batch", help="Pictures at once.")


class GroupKnobs(Knobs):
    """Constant size against fixed number."""

    size: Literal[1, 2, 4, 8, 16, 32] = knob(
        8,
        label="Group size G",
        help="Channels of a group, the same in every layer: E2GC. 1 is depthwise.",
        source="E2GC, arXiv 2006.15100",
    )
    groups: Literal[1, 2, 4, 8, 16, 32] = knob(
        32,
        label="Groups g",
        help="Groups, as many in every layer, so that their size grows with the channels. 1 is "
        "dense; ResNeXt-50 has 32.",
        paper=32,
    )


class EnergyKnobs(Knobs):
    """Prices of the model, which is ours."""

    mac: float = knob(
        4.6, ge=0.05, le=50, scale="log", unit="pJ", label="A multiply-add",
        help="In float32 at 45 nm; int8 takes about a twentieth, newer chips less.",
        source="arXiv 1506.02626, table 1",
    )  # fmt: skip
    byte: float = knob(
        160.0, ge=1, le=1000, scale="log", unit="pJ", label="A byte of memory",
        help="From or to DRAM at 45 nm: 640 pJ for 32 bits.",
        source="arXiv 1506.02626, table 1",
    )  # fmt: skip
    numbers: Literal["float32", "bfloat16", "int8"] = knob(
        "float32", label="Numbers", help="What pictures and weights are stored in."
    )


GROUPS = (
    KnobGroup(NETWORK, "Network", NetworkKnobs),
    KnobGroup(GROUPS_OF, "Groups", GroupKnobs),
    KnobGroup(ENERGY, "Energy, modelled", EnergyKnobs, note="Model and prices are ours"),
)
PRESETS = (
    Preset(
        "MobileNet-V1: groups of 8, or 32 groups",
        {NETWORK: {"network": MOBILENET}, GROUPS_OF: {"size": 8, "groups": 32}},
    ),
    Preset(
        "ResNeXt-50: as published, or groups of 8",
        {NETWORK: {"network": RESNEXT}, GROUPS_OF: {"size": 8, "groups": 32}},
    ),
    Preset(
        "The small ResNeXt that was trained",
        {
            NETWORK: {"network": SMALL_RESNEXT, "size": 32, "batch": 64},
            GROUPS_OF: {"size": 4, "groups": 8},
        },
    ),
)


def network(values: Values) -> NetworkKnobs:
    """What is computed."""
    knobs = values[NETWORK]
    assert isinstance(knobs, NetworkKnobs)
    return knobs


def groups(values: Values) -> GroupKnobs:
    """Which groups."""
    knobs = values[GROUPS_OF]
    assert isinstance(knobs, GroupKnobs)
    return knobs


def prices(values: Values) -> Prices:
    """e_mac and e_dram."""
    knobs = values[ENERGY]
    assert isinstance(knobs, EnergyKnobs)
    return Prices(mac=knobs.mac, byte=knobs.byte)


def traffic(values: Values) -> dict[str, int]:
    """Batch and bytes of a number, as the formulas take them."""
    knobs = values[ENERGY]
    assert isinstance(knobs, EnergyKnobs)
    return {"batch": network(values).batch, "itemsize": ITEM_SIZES[knobs.numbers]}


def layers(values: Values) -> tuple[tuple[ConvShape, ...], tuple[ConvShape, ...]]:
    """All layers with the constant size, and with the fixed number.

    Raises:
        ValueError: one that does not divide a layer's channels.
    """
    asked, found = network(values), groups(values)
    shape = outline(asked.network)
    return shape.at(asked.size, group_size=found.size), shape.at(asked.size, groups=found.groups)


def problems(values: Values) -> list[Problem]:
    """Sizes and numbers that do not divide the narrowest layer."""
    asked = network(values).network
    narrowest, allowed = min(outline(asked).widths), sizes(asked)
    found = []
    for name, field, value in (
        ("Group size", "size", groups(values).size),
        ("Groups", "groups", groups(values).groups),
    ):
        if value not in allowed:
            text = (
                f"{name} {value}: the narrowest spatial convolution of {NAMES[asked]} has "
                f"{narrowest} channels, so {allowed[-1]} or less"
            )
            found.append(Problem("error", field, text, GROUPS_OF))
    return found
