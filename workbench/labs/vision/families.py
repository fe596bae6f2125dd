"""Names of the networks on the screen, and the family each is drawn with."""

from __future__ import annotations

from collections.abc import Mapping

RESNET, V1, V2, V3 = "ResNet", "MobileNet V1", "MobileNet V2", "MobileNet V3"
EFFICIENT, NEXT = "EfficientNet", "ConvNeXt"
FIRST, MB = "ConvFirst (ours)", "MBConv (ours)"

SLOTS: Mapping[str, int] = {
    RESNET: 0, V1: 1, V2: 2, V3: 3, NEXT: 4, EFFICIENT: 5, FIRST: 7, MB: 8,
}  # fmt: skip
"""Colour and mark of each family."""

_NETWORKS: Mapping[str, tuple[str, str, str]] = {
    "resnet50": (RESNET, "ResNet-50", "50"),
    "resnext50_32x4d": (RESNET, "ResNeXt-50 32x4d", "ResNeXt-50"),
    "mobilenetv1_100": (V1, "MobileNet V1", "1.0"),
    "mobilenetv1_125": (V1, "MobileNet V1 1.25", "1.25"),
    "mobilenetv2_050": (V2, "MobileNet V2 0.5", "0.5"),
    "mobilenetv2_100": (V2, "MobileNet V2", "1.0"),
    "mobilenetv2_140": (V2, "MobileNet V2 1.4", "1.4"),
    "mobilenetv3_small_050": (V3, "MobileNet V3-S 0.5", "S 0.5"),
    "mobilenetv3_small_075": (V3, "MobileNet V3-S 0.75", "S 0.75"),
    "mobilenetv3_small_100": (V3, "MobileNet V3-S", "S"),
    "mobilenetv3_large_100": (V3, "MobileNet V3-L", "L"),
    "efficientnet_b0": (EFFICIENT, "EfficientNet-B0", "B0"),
    "efficientnetv2_s": (EFFICIENT, "EfficientNetV2-S", "V2-S"),
    "convnext_atto": (NEXT, "ConvNeXt atto", "atto"),
    "convnext_femto": (NEXT, "ConvNeXt femto", "femto"),
    "convnext_pico": (NEXT, "ConvNeXt pico", "pico"),
    "convnext_nano": (NEXT, "ConvNeXt nano", "nano"),
    "convnext_tiny": (NEXT, "ConvNeXt tiny", "tiny"),
    "convnext_small": (NEXT, "ConvNeXt small", "small"),
    "convnext_base": (NEXT, "ConvNeXt base", "base"),
    "our_conv_first_small": (FIRST, "ConvFirst small (ours)", "small"),
    "our_conv_first": (FIRST, "ConvFirst (ours)", "middle"),
    "our_conv_first_large": (FIRST, "ConvFirst large (ours)", "large"),
    "our_mbconv": (MB, "MBConv (ours)", "middle"),
}
"""Family, name, and what tells it from its family's others."""

NAMES: Mapping[str, str] = {key: name for key, (_, name, _) in _NETWORKS.items()}

MEASURED = (
    "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0",
    "efficientnetv2_s", "convnext_atto", "convnext_tiny", "resnet50", "resnext50_32x4d",
    "our_conv_first", "our_conv_first_large", "our_mbconv",
)  # fmt: skip
"""Those that are measured on this device together."""


def family(network: str) -> str:
    """The family a network is drawn with; its own name where it is of none."""
    return _NETWORKS[network][0] if network in _NETWORKS else network


def name(network: str) -> str:
    """A network's name on the screen."""
    return NAMES.get(network, network)


def short(network: str) -> str:
    """What tells it from others of its family."""
    return _NETWORKS[network][2] if network in _NETWORKS else ""
