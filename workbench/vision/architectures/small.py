"""Small networks for pictures of 16 to 48 pixels, which train in minutes on one core.

Their blocks are those of the papers; stems, depths and widths are ours, so no published number
belongs to them. Widths double where pixels are halved, as the papers' do. In the two that the group
size is studied on, depths are chosen so that sum P Q C^2 = c sum P Q C over the spatial
convolutions, with c = 64 and c = 32: groups of G channels, and c / G groups, then cost exactly as
many multiply-accumulates.
"""

from __future__ import annotations

from workbench.vision.blocks.bottleneck import BottleneckRow as Bottleneck
from workbench.vision.blocks.conv_first import ConvFirstRow as ConvFirst
from workbench.vision.blocks.depthwise_separable import DepthwiseSeparableRow as Separable
from workbench.vision.blocks.inverted_residual import InvertedResidualRow as Inverted
from workbench.vision.networks.config import NetworkConfig
from workbench.vision.networks.mobile import MobileConfig
from workbench.vision.networks.patchified import PatchifiedConfig
from workbench.vision.preprocessing import Preprocessing

WHOLE = Preprocessing(input_size=(3, 32, 32), crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)
"""Pictures as they are, from -1 to 1."""

SMALL: dict[str, NetworkConfig] = {
    "our_small_conv_first": PatchifiedConfig(
        activation="silu",
        norm="batch",
        patch=2,
        stages=(
            ConvFirst(channels=24, expansion=3),
            ConvFirst(channels=48, repeats=2, expansion=3),
            ConvFirst(channels=96, expansion=3),
        ),
        preprocessing=WHOLE,
    ),
    "our_small_mobilenet_v1": MobileConfig(
        activation="relu6",
        stem=16,
        stages=(
            (Separable(channels=32, activated=True),),
            (Separable(channels=64, repeats=2, stride=2, activated=True),),
            (Separable(channels=128, repeats=3, stride=2, activated=True),),
        ),
        head=0,
        preprocessing=WHOLE,
    ),
    "our_small_mobilenet_v2": MobileConfig(
        activation="relu6",
        stem=16,
        stages=(
            (Separable(channels=16),),
            (Inverted(channels=24, repeats=2, stride=2, expansion=4),),
            (Inverted(channels=48, repeats=2, stride=2, expansion=4),),
        ),
        head=192,
        preprocessing=WHOLE,
    ),
    # Without ResNet's 7 x 7 stem and pooling, as ResNeXt is built for pictures of 32 x 32 (Xie et
    # al. 2017, section 5.3).
    "our_small_resnext": MobileConfig(
        activation="relu",
        stem=16,
        stages=(
            (Bottleneck(channels=32, width=16, group_size=4),),
            (Bottleneck(channels=64, width=32, group_size=4, repeats=2, stride=2),),
            (Bottleneck(channels=128, width=64, group_size=4, repeats=2, stride=2),),
        ),
        head=0,
        preprocessing=WHOLE,
    ),
}
"""By names of ours."""
