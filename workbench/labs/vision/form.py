"""What the forms of the gap and of the waterline ask."""

from __future__ import annotations

from typing import Any, Literal

from workbench.labs.vision import families, machines
from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

SHOWN, RATES, WATER = "shown", "rates", "waterline"
OWN = "own"
PUBLISHED_BATCH = 1024

Network = Literal[
    "resnet50", "resnext50_32x4d", "mobilenetv1_100", "mobilenetv1_125", "mobilenetv2_050",
    "mobilenetv2_100", "mobilenetv2_140", "mobilenetv3_small_050", "mobilenetv3_small_075",
    "mobilenetv3_small_100", "mobilenetv3_large_100", "efficientnet_b0", "efficientnetv2_s",
    "convnext_atto", "convnext_femto", "convnext_pico", "convnext_nano", "convnext_tiny",
    "convnext_small", "convnext_base", "our_conv_first_small", "our_conv_first",
    "our_conv_first_large", "our_mbconv", "own",
]  # fmt: skip
CHOICES = {**families.NAMES, OWN: "Yours"}


def _network(default: str) -> Any:
    return knob(
        default,
        label="Net",
        help="Whose layers the waterline shows. Click a point to choose it.",
        choices=CHOICES,
    )


class Latencies(Knobs):
    """Whose latencies are drawn."""

    source: Literal["rtx3090", "here"] = knob(
        "here",
        label="Times",
        help="Measured on this machine (shipped with their device and date until you measure), or "
        "published by timm for one RTX 3090.",
        choices={"here": "Measured here", "rtx3090": "timm, RTX 3090"},
    )
    batch: Literal["1", "8"] = knob(
        "1",
        label="Batch",
        help="Pictures at once. Latency is told for one of them.",
        choices={"1": "1 picture", "8": "8 pictures"},
        visible_when={"source": "here"},
    )
    height: Literal["top1", "ops"] = knob(
        "top1",
        label="Height",
        help="Accuracy that is published for the network, or its operations. Networks of ours have "
        "no published accuracy and stand by operations alone.",
        choices={"top1": "Top-1", "ops": "Operations"},
    )
    network: Network = _network("mobilenetv2_100")


class Rates(Knobs):
    """Peak and bandwidth; empty boxes are the device's own."""

    peak: float | None = knob(
        None, ge=0.001, le=100000, scale="log", label="Peak, TFLOP/s",
        help="What efficiency is a share of. Empty: the device’s own, a vendor figure or measured, "
        "as the figures below say.",
        source="Lavin, arXiv 2404.03617",
    )  # fmt: skip
    bandwidth: float | None = knob(
        None, ge=0.1, le=100000, scale="log", label="Bandwidth, GB/s",
        help="Of main memory. Peak over bandwidth is the waterline. Empty: the device’s own.",
    )  # fmt: skip


class Water(Knobs):
    """How kernels are cut, and what their width is."""

    kernels: Literal["serial", "fused"] = knob(
        "serial",
        label="Kernels",
        help="One for each layer, its maps written and read; or one for each block, with its "
        "input, output and weights alone.",
        choices={"serial": "Layer by layer", "fused": "Block-fused"},
        source="Lavin, arXiv 2404.03617; the drawing rules are ours",
    )
    across: Literal["operations", "time", "measured"] = knob(
        "operations",
        label="Width",
        help="Share of the operations, of the least time by the waterline, or of the time each "
        "layer took alone on this machine.",
        choices={"operations": "Operations", "time": "Least time", "measured": "Measured time"},
    )
    tile: Literal["none", "16", "8"] = knob(
        "none",
        label="Tiles",
        help="A fused block computes its output in tiles and reads the pixels around each again.",
        choices={"none": "Whole maps, no halo", "16": "16 × 16", "8": "8 × 8"},
        visible_when={"kernels": "fused"},
    )


class Shape(Knobs):
    """One network on one device."""

    network: Network = _network("mobilenetv2_100")
    device: Literal["here", "rtx3090", "h200", "tpu-v5e"] = knob(
        "h200",
        label="Device",
        help="Whose peak and bandwidth make the waterline, at half precision but on this machine.",
        choices=dict(machines.NAMES),
    )
    batch: int = knob(
        8, ge=1, le=4096, scale="log", label="Batch", help="Pictures at once.",
    )  # fmt: skip


GAP_GROUPS = (
    KnobGroup(SHOWN, "Latencies", Latencies),
    KnobGroup(RATES, "Peak", Rates),
    KnobGroup(WATER, "Waterline", Water),
)
GAP_PRESETS = (
    Preset("Fewer operations, not less time", {SHOWN: {"network": "mobilenetv2_100"}}),
    Preset(
        "One RTX 3090, as published",
        {SHOWN: {"source": "rtx3090", "network": "efficientnet_b0"}, WATER: {"across": "time"}},
    ),
    Preset(
        "ConvFirst by operations",
        {SHOWN: {"height": "ops", "batch": "8", "network": "our_conv_first"},
         WATER: {"kernels": "fused"}},
    ),
)  # fmt: skip
WATER_GROUPS = (
    KnobGroup(SHOWN, "Network", Shape),
    KnobGroup(RATES, "Peak", Rates),
    KnobGroup(WATER, "Waterline", Water),
)
WATER_PRESETS = (
    Preset(
        "MobileNet V2 on an H200, by time",
        {SHOWN: {"network": "mobilenetv2_100", "batch": 128}, WATER: {"across": "time"}},
    ),
    Preset(
        "ConvFirst, each block one kernel",
        {SHOWN: {"network": "our_conv_first", "batch": 128}, WATER: {"kernels": "fused"}},
    ),
    Preset(
        "ConvNeXt, timed on this machine",
        {SHOWN: {"network": "convnext_tiny", "device": "here", "batch": 8},
         WATER: {"across": "measured"}},
    ),
)  # fmt: skip


def rates(values: Values) -> tuple[float | None, float | None]:
    """Peak [FLOP/s] and bandwidth [B/s] that were given."""
    given: Any = values[RATES]
    peak = None if given.peak is None else given.peak * machines.TERA
    bandwidth = None if given.bandwidth is None else given.bandwidth * machines.GIGA
    return peak, bandwidth


def tile(values: Values) -> int | None:
    """Pixels of a tile's side; None for no halo."""
    given: Any = values[WATER]
    return None if given.tile == "none" else int(given.tile)
