"""What the form of the sparsity page asks, and the layers it offers."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

LAYER, TRAINED = "layer", "network"


class Pointwise(NamedTuple):
    """A pointwise layer of a published network at 224 pixels.

    Args:
        name: network and place.
        pixels: of a side.
        inputs, outputs: channels.
        network: its table.
    """

    name: str
    pixels: int
    inputs: int
    outputs: int
    network: str


LAYERS = {
    "v1-14": Pointwise("MobileNet V1, 14²", 14, 512, 512, "mobilenetv1_100"),
    "v1-7": Pointwise("MobileNet V1, 7²", 7, 1024, 1024, "mobilenetv1_100"),
    "next-28": Pointwise("ConvNeXt tiny, 28²", 28, 192, 768, "convnext_tiny"),
    "next-14": Pointwise("ConvNeXt tiny, 14²", 14, 384, 1536, "convnext_tiny"),
}
WHOLE_NAMES = {"mobilenetv1_100": "MobileNet V1", "convnext_tiny": "ConvNeXt tiny"}
TRAINED_NAMES = {
    "our_small_conv_first": "ConvFirst (ours)",
    "our_small_mobilenet_v1": "MobileNet V1, small",
    "our_small_mobilenet_v2": "MobileNet V2, small",
    "our_small_resnext": "ResNeXt, small",
}


class Layer(Knobs):
    """Whose time is measured."""

    layer: Literal["v1-14", "v1-7", "next-28", "next-14"] = knob(
        "v1-14", label="Layer", static=True,
        help="Network and size of its maps at 224 pixels.",
        choices={key: one.name for key, one in LAYERS.items()},
    )  # fmt: skip
    batch: Literal["1", "8"] = knob(
        "8", label="Batch", static=True, help="Pictures at once.",
        choices={"1": "1 picture", "8": "8 pictures"},
    )  # fmt: skip
    block: Literal["32", "64", "128"] = knob(
        "64", label="Blocks", static=True,
        help="Rows and columns of a block that is kept or dropped as a whole.",
        choices={"32": "32 × 32", "64": "64 × 64", "128": "128 × 128"},
    )  # fmt: skip


class Trained(Knobs):
    """Whose accuracy is judged."""

    network: Literal[
        "our_small_conv_first", "our_small_mobilenet_v1", "our_small_mobilenet_v2",
        "our_small_resnext",
    ] = knob(
        "our_small_mobilenet_v1", label="Network", choices=TRAINED_NAMES,
        help="Shipped, trained on patches of photographs.",
    )  # fmt: skip
    how: Literal["gradually", "once"] = knob(
        "gradually", label="Pruned",
        help="While it trains on, by the cubic schedule; or at once, no weight trained again.",
        choices={"gradually": "While it trains on", "once": "At once"},
    )  # fmt: skip


GROUPS = (
    KnobGroup(LAYER, "The layer’s time", Layer),
    KnobGroup(TRAINED, "The network’s accuracy", Trained),
)
PRESETS = (
    Preset("Blocks of 64 in MobileNet V1", {LAYER: {"layer": "v1-14", "batch": "8"}}),
    Preset("One picture, the last stage", {LAYER: {"layer": "v1-7", "batch": "1"}}),
    Preset("Small blocks", {LAYER: {"layer": "v1-14", "block": "32"}}),
)


def asked(values: Values) -> tuple[Pointwise, int, int]:
    """The layer, pixels of its batch, and side of a block."""
    layer: Any = values[LAYER]
    one = LAYERS[layer.layer]
    return one, int(layer.batch) * one.pixels**2, int(layer.block)


def trained(values: Values) -> tuple[str, bool]:
    """The network, and whether it is pruned while it trains on."""
    chosen: Any = values[TRAINED]
    return chosen.network, chosen.how == "gradually"
