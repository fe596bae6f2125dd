"""ConvFirst networks of ours: Lavin (2024) publishes the block, and no table that is public.

Stem, depths, widths and the convolutions between stages are ours, so no published accuracy or time
belongs to these networks. The small and the large one have depths as ConvNeXt's pico and tiny
(Liu et al. 2022), and their widths are three quarters and one and a half of the middle one's. The
last one has the middle one's stages of MBConv blocks with groups of eight, the other block whose
fused kernel Lavin describes.
"""

from __future__ import annotations

from workbench.vision.blocks.conv_first import ConvFirstRow as ConvFirst
from workbench.vision.blocks.inverted_residual import InvertedResidualRow as Inverted
from workbench.vision.networks.patchified import PatchifiedConfig

DEPTHS, WIDTHS = (2, 3, 8, 2), (64, 128, 256, 512)


def _conv_first(depths: tuple[int, ...], widths: tuple[int, ...]) -> PatchifiedConfig:
    rows = tuple(
        ConvFirst(channels=width, repeats=depth)
        for depth, width in zip(depths, widths, strict=True)
    )
    return PatchifiedConfig(activation="silu", norm="batch", stages=rows)


CONV_FIRST: dict[str, PatchifiedConfig] = {
    "our_conv_first_small": _conv_first((2, 2, 6, 2), (48, 96, 192, 384)),
    "our_conv_first": _conv_first(DEPTHS, WIDTHS),
    "our_conv_first_large": _conv_first((3, 3, 9, 3), (96, 192, 384, 768)),
    "our_mbconv": PatchifiedConfig(
        activation="silu",
        norm="batch",
        stages=tuple(
            Inverted(channels=width, repeats=depth, expansion=4, group_size=8)
            for depth, width in zip(DEPTHS, WIDTHS, strict=True)
        ),
    ),
}
"""By names of ours."""
