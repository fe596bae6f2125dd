"""Layers as kernels: one by one, or a block at a time.

Serial: every layer reads its input and writes its output. A residual is read once more by the layer
that adds it, a pooled map by the layer after, and squeeze-and-excitation reads the map to pool it,
and reads and writes it to weigh it.

Fused: a block reads its input and its weights and writes its output; nothing between goes to memory
(Lavin 2024, block-fusion kernels of ConvFirst and MBConv). Input is read once more at the edges of
the tiles that outputs are computed in, the halo. A gate needs the whole map before it weighs the
first pixel, so a block with squeeze-and-excitation is two kernels here, with the wide map between:
that split is ours. Stem, down-sampling and head stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from workbench.vision.efficiency.layer import Layer
from workbench.vision.efficiency.waterline import Bar


def serial(layers: Iterable[Layer], *, batch: int = 1, itemsize: int = 4) -> list[Bar]:
    """A kernel for each layer.

    Args:
        layers: in the order they run.
        batch: pictures.
        itemsize: bytes of a number.

    Raises:
        ValueError: a batch or a size of numbers below 1.
    """
    _check(batch, itemsize)
    return [
        Bar(one.name, one.operations(batch), one.bytes_moved(batch, itemsize), (one.name,))
        for one in layers
    ]


def fused(
    layers: Iterable[Layer], *, batch: int = 1, itemsize: int = 4, tile: int | None = None
) -> list[Bar]:
    """A kernel for each block, and for each layer that is in none.

    Args:
        layers: in the order they run.
        batch: pictures.
        itemsize: bytes of a number.
        tile: height and width of the tiles of a block's output; None for no halo: whole pictures,
            or rows that stay on the chip until no later one needs them.

    Raises:
        ValueError: a batch, size of numbers or tile below 1.
    """
    _check(batch, itemsize)
    if tile is not None and tile < 1:
        raise ValueError(f"tile={tile} must be at least 1 pixel")
    bars: list[Bar] = []
    for block, found in groupby(layers, key=lambda one: one.block):
        inside = list(found)
        if not block:
            bars += serial(inside, batch=batch, itemsize=itemsize)
            continue
        bars += [
            Bar(
                name if number == 0 else f"{name}, gated",
                sum(one.operations(batch) for one in part),
                itemsize * (batch * numbers + sum(one.weights for one in part)),
                tuple(one.name for one in part),
            )
            for number, (name, part, numbers) in enumerate(_kernels(block, inside, tile))
        ]
    return bars


def halo(layers: Sequence[Layer], tile: int) -> float:
    """Pixels of a block's input that its tiles read, over its pixels.

    For one convolution at stride 1 inside a large map: ((t + R − 1) / t)².

    Args:
        layers: of the block, those beside its way through (a shortcut's) included.
        tile: height and width of a tile of its output.
    """
    way = [one for one in layers if one.height and (one.taps > 1 or one.stride > 1)]
    way = [one for one in way if one.taps > 1] or way[:1]
    if not way:
        return 1.0
    first = way[0]
    rows = sum(_rows([(one.height, one) for one in way], tile))
    columns = sum(_rows([(one.width, one) for one in way], tile))
    return rows * columns / (first.height * first.width)


def _rows(way: Sequence[tuple[int, Layer]], tile: int) -> Iterator[int]:
    """Input rows that each tile reads, those outside the map left out."""
    size, last = way[-1]
    outputs = (size + 2 * last.padding - last.taps) // last.stride + 1
    for start in range(0, outputs, tile):
        low, high = start, min(start + tile, outputs) - 1
        for extent, layer in reversed(way):
            low = max(0, low * layer.stride - layer.padding)
            high = min(extent - 1, high * layer.stride - layer.padding + layer.taps - 1)
        yield high - low + 1


def _kernels(
    block: str, layers: Sequence[Layer], tile: int | None
) -> Iterator[tuple[str, list[Layer], float]]:
    """Kernels of a block with the numbers that each moves of one picture."""
    read = layers[0].inputs * (1.0 if tile is None else halo(layers, tile))
    pooled = layers[0].beside if not layers[0].adds else 0
    gates = [number for number, one in enumerate(layers) if one.kind == "gate"]
    if not gates:
        yield block, list(layers), read + pooled + _written(layers)
        return
    before, after = list(layers[: gates[0]]), list(layers[gates[0] :])
    wide = before[-1].outputs
    yield block, before, read + pooled + wide
    added = layers[0].inputs if any(one.adds for one in layers) else 0
    yield block, after, wide + added + _written(layers)


def _written(layers: Sequence[Layer]) -> int:
    """The block's output: of a shortcut it is the sum, written once."""
    return layers[-1].outputs


def _check(batch: int, itemsize: int) -> None:
    for name, value in (("batch", batch), ("itemsize", itemsize)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
