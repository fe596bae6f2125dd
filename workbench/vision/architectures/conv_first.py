"""A ConvFirst network of ours: Lavin (2024) publishes the block, and no table that is public.

Stem, depths, widths and the convolutions between stages are ours, so no published accuracy or time
belongs to these networks. The second has the same stages of MBConv blocks with groups of eight, the
other block whose fused kernel Lavin describes.
"""

from __future__ import annotations

from workbench.vision.blocks.conv_first import ConvFirstRow as ConvFirst
from workbench.vision.blocks.inverted_residual import InvertedResidualRow as Inverted
from workbench.vision.networks.patchified import PatchifiedConfig

DEPTHS, WIDTHS = (2, 3, 8, 2), (64, 128, 256, 512)

CONV_FIRST: dict[str, PatchifiedConfig] = {
    "our_conv_first": PatchifiedConfig(
        activation="silu",
        norm="batch",
        stages=tuple(
            ConvFirst(channels=width, repeats=depth)
            for depth, width in zip(DEPTHS, WIDTHS, strict=True)
        ),
    ),
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
