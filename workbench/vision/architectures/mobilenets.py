"""MobileNets V1 (Howard et al. 2017, table 1), V2 (Sandler et al. 2018, table 2) and V3 (Howard et
al. 2019, tables 1 and 2), in timm's form and under its names.

The two or three digits of a name are the width multiplier in hundredths; `tf_` is for weights from
TensorFlow, whose padding and ε differ.
"""

from __future__ import annotations

from workbench.vision.blocks.conv_norm import ConvNormRow as Conv
from workbench.vision.blocks.depthwise_separable import DepthwiseSeparableRow as Separable
from workbench.vision.blocks.inverted_residual import InvertedResidualRow as Inverted
from workbench.vision.making import rounded
from workbench.vision.networks.mobile import MobileConfig
from workbench.vision.preprocessing import Preprocessing

HALVES = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TENSORFLOW_EPS = 1e-3


def widened(config: MobileConfig, factor: float, *, stem: int, head: int) -> MobileConfig:
    """A table with channels times a factor, in multiples of eight."""
    rows = [
        row.model_copy(update={"channels": rounded(factor * row.channels)}) for row in config.rows()
    ]
    return config.with_rows(rows).model_copy(update={"stem": stem, "head": head})


def tensorflow(config: MobileConfig) -> MobileConfig:
    """A table as weights trained in TensorFlow want it."""
    changes = {"sides": "same", "norm_eps": TENSORFLOW_EPS, "preprocessing": HALVES}
    return config.model_copy(update=changes)


def _v1(factor: float) -> MobileConfig:
    return widened(V1, factor, stem=rounded(32 * factor), head=0)


def _v2(factor: float) -> MobileConfig:
    head = max(1280, rounded(1280 * factor))
    return widened(V2, factor, stem=rounded(32 * factor), head=head)


def _v3(base: MobileConfig, factor: float) -> MobileConfig:
    stem = 16 if factor < 0.75 else rounded(16 * factor)
    return widened(base, factor, stem=stem, head=base.head)


V1 = MobileConfig(
    activation="relu6",
    stem=32,
    stages=(
        (Separable(channels=64, activated=True),),
        (Separable(channels=128, repeats=2, stride=2, activated=True),),
        (Separable(channels=256, repeats=2, stride=2, activated=True),),
        (Separable(channels=512, repeats=6, stride=2, activated=True),),
        (Separable(channels=1024, repeats=2, stride=2, activated=True),),
    ),
    head=0,
    preprocessing=HALVES,
)
V2 = MobileConfig(
    activation="relu6",
    stem=32,
    stages=(
        (Separable(channels=16),),
        (Inverted(channels=24, repeats=2, stride=2),),
        (Inverted(channels=32, repeats=3, stride=2),),
        (Inverted(channels=64, repeats=4, stride=2),),
        (Inverted(channels=96, repeats=3),),
        (Inverted(channels=160, repeats=3, stride=2),),
        (Inverted(channels=320),),
    ),
    head=1280,
)
V3_LARGE = MobileConfig(
    activation="hard_swish",
    stem=16,
    stages=(
        (Separable(channels=16, activation="relu"),),
        (
            Inverted(channels=24, stride=2, expansion=4, activation="relu"),
            Inverted(channels=24, expansion=3, activation="relu"),
        ),
        (
            Inverted(
                channels=40,
                repeats=3,
                stride=2,
                kernel=5,
                expansion=3,
                squeeze=0.25,
                activation="relu",
            ),
        ),
        (
            Inverted(channels=80, stride=2),
            Inverted(channels=80, expansion=2.5),
            Inverted(channels=80, repeats=2, expansion=2.3),
        ),
        (Inverted(channels=112, repeats=2, squeeze=0.25),),
        (Inverted(channels=160, repeats=3, stride=2, kernel=5, squeeze=0.25),),
        (Conv(channels=960, kernel=1),),
    ),
    head=1280,
    head_pooled=True,
    squeeze_of="expanded",
    gate="hard_sigmoid",
)
V3_SMALL = MobileConfig(
    activation="hard_swish",
    stem=16,
    stages=(
        (Separable(channels=16, stride=2, squeeze=0.25, activation="relu"),),
        (
            Inverted(channels=24, stride=2, expansion=4.5, activation="relu"),
            Inverted(channels=24, expansion=3.67, activation="relu"),
        ),
        (
            Inverted(channels=40, stride=2, kernel=5, expansion=4, squeeze=0.25),
            Inverted(channels=40, repeats=2, kernel=5, squeeze=0.25),
        ),
        (Inverted(channels=48, repeats=2, kernel=5, expansion=3, squeeze=0.25),),
        (Inverted(channels=96, repeats=3, stride=2, kernel=5, squeeze=0.25),),
        (Conv(channels=576, kernel=1),),
    ),
    head=1024,
    head_pooled=True,
    squeeze_of="expanded",
    gate="hard_sigmoid",
)

MOBILENETS: dict[str, MobileConfig] = {
    "mobilenetv1_100": V1,
    "mobilenetv1_125": _v1(1.25),
    "mobilenetv2_035": _v2(0.35),
    "mobilenetv2_050": _v2(0.5),
    "mobilenetv2_075": _v2(0.75),
    "mobilenetv2_100": V2,
    "mobilenetv2_140": _v2(1.4),
    "mobilenetv3_large_075": _v3(V3_LARGE, 0.75),
    "mobilenetv3_large_100": V3_LARGE,
    "mobilenetv3_small_050": _v3(V3_SMALL, 0.5),
    "mobilenetv3_small_075": _v3(V3_SMALL, 0.75),
    "mobilenetv3_small_100": V3_SMALL,
    "tf_mobilenetv3_large_100": tensorflow(V3_LARGE),
    "tf_mobilenetv3_small_100": tensorflow(V3_SMALL),
}
"""By timm's names."""
