"""Energy of convolutions by group size; the model and its constants are ours.

    MACs(G) = N P Q K R S G        bytes(G) = u (N H W C + N P Q K + K R S G)
    E(G) = e_mac MACs + e_dram bytes        reuse(G) = MACs / bytes
    E / MACs = e_mac + e_dram / reuse

E2GC (Jha et al. 2020, arXiv 2006.15100) holds that a constant group size balances arithmetic and
data reuse over the layers, where a fixed number of groups lets them drift with the channels; of the
paper only the abstract is at hand. Arithmetic grows linearly in G while energy for each MAC falls
as 1 / G and then levels: the knee is where memory and arithmetic cost the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.vision.conv_shapes import ConvShape

PICOJOULE = 1e-12


@dataclass(frozen=True)
class Prices:
    """What an operation and a byte cost.

    The defaults are those of a 45 nm process (Han et al. 2015, arXiv 1506.02626, table 1): 3.7 pJ
    for a product and 0.9 for a sum in float32, and 640 pJ for 32 bits of DRAM. Any device has its
    own.

    Attributes:
        mac: of one multiply-accumulate [pJ].
        byte: of one byte from or to main memory [pJ].
    """

    mac: float = 4.6
    byte: float = 160.0

    def __post_init__(self) -> None:
        for name in ("mac", "byte"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value} must be a positive number of picojoules")

    @property
    def balance(self) -> float:
        """MACs for each byte at which both cost the same."""
        return self.byte / self.mac


@dataclass(frozen=True)
class Spent:
    """Arithmetic, bytes and energy of some layers on one batch.

    Attributes:
        macs, bytes_moved: counted.
        arithmetic, memory: energy of each [J].
    """

    macs: int
    bytes_moved: int
    arithmetic: float
    memory: float

    @property
    def joules(self) -> float:
        """Both."""
        return self.arithmetic + self.memory

    @property
    def per_mac(self) -> float:
        """Energy for each multiply-accumulate [J]."""
        return self.joules / self.macs

    @property
    def reuse(self) -> float:
        """Multiply-accumulates for each byte."""
        return self.macs / self.bytes_moved


def spent(
    layers: Iterable[ConvShape], prices: Prices, *, batch: int = 1, itemsize: int = 4
) -> Spent:
    """E = e_mac MACs + e_dram bytes, of layers one after the other.

    Args:
        layers: one, or a network's.
        prices: e_mac and e_dram.
        batch: pictures.
        itemsize: bytes of a number.
    """
    macs = bytes_moved = 0
    for layer in layers:
        macs += layer.macs(batch)
        bytes_moved += layer.bytes_moved(batch, itemsize)
    arithmetic, memory = macs * prices.mac, bytes_moved * prices.byte
    return Spent(macs, bytes_moved, arithmetic * PICOJOULE, memory * PICOJOULE)


def knee(layer: ConvShape, prices: Prices, *, batch: int = 1, itemsize: int = 4) -> float:
    """The group size at which memory and arithmetic of a layer cost the same.

    G = r u N (H W C + P Q K) / (K R S (N P Q - r u)),  r = e_dram / e_mac

    which is 2 r u / (R S) at stride 1 where pictures outweigh weights, whatever the channels.

    Returns:
        Channels; infinite where no size is enough, as each weight then serves too few pixels.
    """
    r, pixels = prices.balance * itemsize, batch * layer.pixels_out
    if pixels <= r:
        return math.inf
    pictures = batch * (layer.pixels_in * layer.inputs + layer.pixels_out * layer.outputs)
    return r * pictures / (layer.outputs * layer.taps * (pixels - r))


def imbalance(layers: Sequence[ConvShape], *, batch: int = 1, itemsize: int = 4) -> float:
    """The largest reuse of the groupable layers over the least; 1 is balance.

    Raises:
        ValueError: no groupable layers.
    """
    found = [layer.reuse(batch, itemsize) for layer in layers if layer.groupable]
    if not found:
        raise ValueError("layers: none of them has groups")
    return max(found) / min(found)
