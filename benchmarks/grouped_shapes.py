"""Grouped convolutions to be timed: all of the networks here, each shape once, and some by eights.

Shapes are read off every table of `workbench.vision`: of one picture of 224 pixels, or of as many
as a step of training takes where the network is for smaller ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PIXELS = 224
TOGETHER = 64
"""Small pictures at once."""

TIMES_FASTER = 10
"""At least, than XLA's own, for depthwise 3 x 3 at stride 1; elsewhere at least as fast."""

V1, V2, V3 = "MobileNet V1", "MobileNet V2", "MobileNet V3"
EFFICIENT, NEXT, RESNEXT, OURS = "EfficientNet", "ConvNeXt", "ResNeXt-50", "our tables"
WIDE = "MobileNet V1 in groups"
FAMILIES = {
    "mobilenetv1": V1,
    "mobilenetv2": V2,
    "mobilenetv3": V3,
    "efficientnet": EFFICIENT,
    "convnext": NEXT,
    "resnext": RESNEXT,
    "our": OURS,
}
"""By what a table's name begins with; a shape counts to the first that has it."""


class Case(NamedTuple):
    """A square grouped convolution that keeps the number of channels."""

    model: str
    batch: int
    pixels: int
    channels: int
    width: int = 1
    taps: int = 3
    stride: int = 1

    @property
    def words(self) -> str:
        """The case in a line."""
        return f"{self.model}: {self.kind}, {self.where}"

    @property
    def where(self) -> str:
        """The picture's shape."""
        return f"{self.batch} × {self.pixels} × {self.pixels} × {self.channels}"

    @property
    def summary(self) -> str:
        """The model, and whether the case is of those that are depthwise 3 × 3 at stride 1."""
        return f"{self.model}: {self.kind if self.bound > 1 else 'others'}"

    @property
    def kind(self) -> str:
        """Width, taps and stride."""
        groups = "depthwise" if self.width == 1 else f"groups of {self.width},"
        stride = f", stride {self.stride}" if self.stride != 1 else ""
        return f"{groups} {self.taps} × {self.taps}{stride}"

    @property
    def bound(self) -> float:
        """How many times XLA's own it must be."""
        depthwise = self.width == 1 and self.taps == 3 and self.stride == 1
        return TIMES_FASTER if depthwise else 1


def of_all_networks() -> tuple[Case, ...]:
    """Every shape of every table."""
    from workbench.vision.architectures import tables

    found: dict[tuple[int, ...], Case] = {}
    for prefix, family in FAMILIES.items():
        for name in tables():
            if name.removeprefix("tf_").startswith(prefix):
                for shape in _shapes(name):
                    found.setdefault(shape, Case(family, *shape))
    return tuple(found.values())


def _shapes(name: str) -> Iterator[tuple[int, ...]]:
    """Batch, pixels, channels, width, taps and stride of a table's grouped convolutions."""
    from workbench.vision.architectures import published
    from workbench.vision.efficiency.counting import layers_of

    table = published(name)
    size = min(PIXELS, table.preprocessing.input_size[1])
    for layer in layers_of(table, size=size):
        if layer.kind == "conv":
            channels = layer.inputs // (layer.height * layer.width)
            if layer.group_size < channels:
                batch = 1 if size == PIXELS else TOGETHER
                yield batch, layer.height, channels, layer.group_size, layer.taps, layer.stride


BY_EIGHTS = (
    Case(V1, 8, 56, 128),
    Case(V1, 8, 56, 128, stride=2),
    Case(V2, 8, 112, 32),
    Case(V2, 8, 56, 144),
    Case(V2, 8, 28, 192),
    Case(V2, 8, 14, 576),
    Case(V2, 8, 7, 960),
    Case(V3, 8, 28, 120, taps=5),
    Case(V3, 8, 7, 960, taps=5),
    Case(EFFICIENT, 8, 28, 240, taps=5),
    Case(NEXT, 8, 56, 96, taps=7),
    Case(NEXT, 8, 14, 384, taps=7),
    Case(RESNEXT, 8, 56, 128, width=4),
    Case(RESNEXT, 8, 28, 256, width=8),
    Case(RESNEXT, 8, 14, 512, width=16),
    Case(RESNEXT, 8, 7, 1024, width=32),
    Case(WIDE, 8, 28, 64, width=2),
    Case(WIDE, 8, 28, 128, width=8),
    Case(WIDE, 8, 14, 256, width=8),
    Case(WIDE, 8, 28, 256, width=16),
    Case(WIDE, 8, 28, 256, width=32),
)
"""Batches of eight, for some."""

TRAINED = (
    Case(OURS, 64, 32, 32, width=8),
    Case(OURS, 64, 16, 64, width=8),
    Case(OURS, 64, 8, 128, width=8),
    Case(OURS, 64, 32, 16, width=4),
    Case(OURS, 64, 16, 32, width=4),
    Case(OURS, 64, 8, 64, width=4),
)
"""Of the small networks, in batches of their training."""

BATCHES = (*BY_EIGHTS, *TRAINED)

GRADIENTS = (
    Case(V2, 2, 56, 144),
    Case(V2, 2, 56, 144, stride=2),
    Case(V2, 2, 14, 576),
    Case(EFFICIENT, 2, 28, 240, taps=5),
    Case(NEXT, 2, 14, 384, taps=7),
    Case(RESNEXT, 2, 28, 128, width=4),
    Case(WIDE, 2, 14, 256, width=8),
    Case(RESNEXT, 2, 14, 512, width=16),
    Case(RESNEXT, 2, 7, 1024, width=32),
    TRAINED[1],
    TRAINED[4],
)
"""Whose gradients are timed: smaller batches, since XLA's own take seconds."""

KERNELS = (
    *(case for case in GRADIENTS if case.width > 1 and case.model != OURS),
    *TRAINED,
    Case(WIDE, 8, 28, 256, width=8),
    Case(WIDE, 8, 28, 256, width=16),
    Case(WIDE, 8, 14, 512, width=32),
    Case(OURS, 64, 32, 32, width=2),
    Case(OURS, 64, 16, 64, width=2),
    Case(OURS, 64, 16, 64, width=16),
    Case(OURS, 64, 16, 64, width=8, stride=2),
)
"""Whose gradients to the kernel are timed in every form to choose by; depthwise there is one."""

TINY = (Case(V2, 1, 16, 32), Case(WIDE, 1, 16, 16, width=8, stride=2))
