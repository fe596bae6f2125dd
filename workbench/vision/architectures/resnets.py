"""ResNet-50 (He et al. 2016, table 1) and ResNeXt-50 32x4d (Xie et al. 2017, table 1), with the
stride in the spatial convolution, as timm has them and under its names.
"""

from __future__ import annotations

from workbench.vision.blocks.bottleneck import BottleneckRow as Bottleneck
from workbench.vision.networks.resnet import ResNetConfig

RESNET_50 = ResNetConfig(
    stages=(
        Bottleneck(channels=256, width=64, repeats=3),
        Bottleneck(channels=512, width=128, repeats=4, stride=2),
        Bottleneck(channels=1024, width=256, repeats=6, stride=2),
        Bottleneck(channels=2048, width=512, repeats=3, stride=2),
    )
)
RESNEXT_50 = ResNetConfig(
    stages=(
        Bottleneck(channels=256, width=128, groups=32, repeats=3),
        Bottleneck(channels=512, width=256, groups=32, repeats=4, stride=2),
        Bottleneck(channels=1024, width=512, groups=32, repeats=6, stride=2),
        Bottleneck(channels=2048, width=1024, groups=32, repeats=3, stride=2),
    )
)

RESNETS: dict[str, ResNetConfig] = {"resnet50": RESNET_50, "resnext50_32x4d": RESNEXT_50}
"""By timm's names."""
