"""EfficientNet-B0 (Tan & Le 2019, table 1) and EfficientNetV2-S (Tan & Le 2021, table 4), in timm's
form and under its names.
"""

from __future__ import annotations

from workbench.vision.architectures.mobilenets import tensorflow
from workbench.vision.blocks.conv_norm import ConvNormRow as Conv
from workbench.vision.blocks.depthwise_separable import DepthwiseSeparableRow as Separable
from workbench.vision.blocks.fused_inverted_residual import FusedInvertedResidualRow as Fused
from workbench.vision.blocks.inverted_residual import InvertedResidualRow as Inverted
from workbench.vision.networks.mobile import MobileConfig

B0 = MobileConfig(
    activation="silu",
    stem=32,
    stages=(
        (Separable(channels=16, squeeze=0.25),),
        (Inverted(channels=24, repeats=2, stride=2, squeeze=0.25),),
        (Inverted(channels=40, repeats=2, stride=2, kernel=5, squeeze=0.25),),
        (Inverted(channels=80, repeats=3, stride=2, squeeze=0.25),),
        (Inverted(channels=112, repeats=3, kernel=5, squeeze=0.25),),
        (Inverted(channels=192, repeats=4, stride=2, kernel=5, squeeze=0.25),),
        (Inverted(channels=320, squeeze=0.25),),
    ),
    head=1280,
)
V2_S = MobileConfig(
    activation="silu",
    stem=24,
    stages=(
        (Conv(channels=24, repeats=2, skip=True),),
        (Fused(channels=48, repeats=4, stride=2),),
        (Fused(channels=64, repeats=4, stride=2),),
        (Inverted(channels=128, repeats=6, stride=2, expansion=4, squeeze=0.25),),
        (Inverted(channels=160, repeats=9, squeeze=0.25),),
        (Inverted(channels=256, repeats=15, stride=2, squeeze=0.25),),
    ),
    head=1280,
)

EFFICIENTNETS: dict[str, MobileConfig] = {
    "efficientnet_b0": B0,
    "efficientnetv2_s": V2_S,
    "tf_efficientnet_b0": tensorflow(B0),
    "tf_efficientnetv2_s": tensorflow(V2_S),
}
"""By timm's names."""
