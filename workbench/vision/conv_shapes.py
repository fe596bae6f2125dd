"""Convolutions of a network as shapes alone: any picture size, any group size, nothing built.

With k // 2 pixels of padding a convolution of stride s makes ceil(H / s) rows of H, so the size of
every layer follows from how many pixels of the picture lie between two of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.vision.networks.config import NetworkConfig


@dataclass(frozen=True)
class ConvShape:
    """One convolution, or a dense layer as one of 1 x 1 pixels.

    Attributes:
        name: as the network's file has it.
        pixels_in: rows and columns together, H W.
        pixels_out: P Q.
        inputs, outputs: channels C and K.
        taps: of the kernel, R S.
        group_size: G, input channels of a group; C where dense.
        groupable: whether group sizes are chosen: a spatial convolution of a block.
    """

    name: str
    pixels_in: int
    pixels_out: int
    inputs: int
    outputs: int
    taps: int
    group_size: int
    groupable: bool

    @property
    def weights(self) -> int:
        """K R S G, without a bias."""
        return self.outputs * self.taps * self.group_size

    def macs(self, batch: int = 1) -> int:
        """N P Q K R S G."""
        return batch * self.pixels_out * self.weights

    def bytes_moved(self, batch: int = 1, itemsize: int = 4) -> int:
        """u (N H W C + N P Q K + K R S G): each array once."""
        pictures = self.pixels_in * self.inputs + self.pixels_out * self.outputs
        return itemsize * (batch * pictures + self.weights)

    def reuse(self, batch: int = 1, itemsize: int = 4) -> float:
        """Multiply-accumulates for each byte."""
        return self.macs(batch) / self.bytes_moved(batch, itemsize)


@dataclass(frozen=True)
class Outline:
    """A network's convolutions, for pictures of any size.

    Attributes:
        layers: name, C, K, R S, pixels of the picture from one to the next along a side before and
            after (0 once pooled to one), groupable.
        other_parameters: what it learns beside the kernels: norms and biases.
        size: side of its usual pictures.
    """

    layers: tuple[tuple[str, int, int, int, int, int, bool], ...]
    other_parameters: int
    size: int

    @classmethod
    def of(cls, config: NetworkConfig) -> Outline:
        """Of a table, counted at its usual size; loads jax.

        Raises:
            ValueError: a table without rows of groups, one that cannot be built, or whose layers
                do not halve its pictures evenly.
        """
        from workbench.vision.counts import layer_costs, parameters
        from workbench.vision.group_size import constant_group_size

        depthwise = constant_group_size(config, 1)
        size = config.preprocessing.input_size[1]
        found = []
        for layer in layer_costs(depthwise, size=size):
            if not layer.kernel:
                continue
            before, after = (
                0 if len(shape) == 2 else _step(size, shape[1], layer.name)
                for shape in (layer.inputs, layer.outputs)
            )
            *taps, _, outputs = layer.kernel
            area = taps[0] * taps[1] if taps else 1
            groupable = layer.groups > 1
            found.append((layer.name, layer.inputs[-1], outputs, area, before, after, groupable))
        outline = cls(tuple(found), 0, size)
        kernels = sum(one.weights for one in outline.at(group_size=1))
        return replace(outline, other_parameters=parameters(depthwise) - kernels)

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Outline:
        """From what `record` gave."""
        layers = tuple(tuple(layer) for layer in record["layers"])
        return cls(layers, record["other_parameters"], record["size"])

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"layers": self.layers, "other_parameters": self.other_parameters, "size": self.size}

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the groupable convolutions; a group size must divide them all."""
        return tuple(layer[1] for layer in self.layers if layer[-1])

    def at(
        self, size: int | None = None, *, group_size: int | None = None, groups: int | None = None
    ) -> tuple[ConvShape, ...]:
        """Every layer for pictures of one size.

        Args:
            size: side, pixels; the usual one where None.
            group_size: channels of a group in all groupable layers.
            groups: groups in all of them; one of both is given.

        Raises:
            ValueError: neither or both given, or one that does not divide a layer's channels.
        """
        if (group_size is None) == (groups is None):
            raise ValueError(f"group_size={group_size} and groups={groups}: give one of them")
        name, divisor = ("groups", groups) if group_size is None else ("group_size", group_size)
        assert divisor is not None
        for width in self.widths:
            if divisor < 1 or width % divisor:
                raise ValueError(
                    f"{name}={divisor} does not divide the {width} channels of a spatial "
                    "convolution"
                )
        side = self.size if size is None else size
        found = []
        for layer, inputs, outputs, taps, before, after, groupable in self.layers:
            own = group_size or inputs // divisor
            found.append(
                ConvShape(
                    name=layer,
                    pixels_in=_pixels(side, before),
                    pixels_out=_pixels(side, after),
                    inputs=inputs,
                    outputs=outputs,
                    taps=taps,
                    group_size=own if groupable else inputs,
                    groupable=groupable,
                )
            )
        return tuple(found)

    def parameters(self, layers: Iterable[ConvShape]) -> int:
        """What the network of these layers learns."""
        return self.other_parameters + sum(layer.weights for layer in layers)


def _step(size: int, side: int, name: str) -> int:
    step = round(size / side)
    if step * side != size:
        raise ValueError(f"{name} has {side} of {size} rows; needed a size that is halved evenly")
    return step


def _pixels(size: int, step: int) -> int:
    return 1 if step == 0 else (-(-size // step)) ** 2
