"""Rows of what pruning costs and gains, as tables hold them. Nothing here loads jax."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

from workbench.vision.efficiency.timed import Row

BLOCKS, N_OF_M = "blocks", "n of m"


@dataclass(frozen=True)
class DensityTimed(Row):
    """One pointwise layer at one density, run from the blocks that are not zero, on one device.

    Args:
        rows: pixels of the batch.
        inputs, outputs: channels.
        block: rows and columns of a block.
        density: share of the weights that is kept.
        dense, sparse: seconds of the whole matrix and of the kept blocks, medians.
        speedup, low, high: dense over sparse time, by turns: median and quartiles.
        repeats: how many.
        structure: "blocks"; or "n of m", which leaves no block without weights.
    """

    rows: int
    inputs: int
    outputs: int
    block: int
    density: float
    dense: float
    sparse: float
    speedup: float
    low: float
    high: float
    repeats: int
    structure: str = BLOCKS


@dataclass(frozen=True)
class NetworkTimed(Row):
    """A whole network whose wide pointwise layers run from their kept blocks, on one device.

    Args:
        network: its name.
        batch: pictures.
        block: rows and columns of a block.
        density: share of the pruned layers' weights that is kept.
        dense, sparse: seconds of the whole network and of the pruned one, medians.
        speedup, low, high: dense over sparse time, by turns: median and quartiles.
        modelled: what arithmetic and bytes allow.
        repeats: how many.
    """

    network: str
    batch: int
    block: int
    density: float
    dense: float
    sparse: float
    speedup: float
    low: float
    high: float
    modelled: float
    repeats: int


@dataclass(frozen=True)
class Accuracy(Row):
    """What a trained network is worth after pruning.

    Args:
        network: its name.
        structure: "blocks", "n of m" or "single weights".
        setting: of the structure, in words.
        density: share of the pruned layers' weights that stays; 1 for the network as it was.
        top1, low, high: share of right answers on held-out pictures, with Wilson's interval.
        count: pictures.
        updates: of training while it was pruned; 0 for pruning at once.
    """

    network: str
    structure: str
    setting: str
    density: float
    top1: float
    low: float
    high: float
    count: int
    updates: int = 0


DensityTimed.COLUMNS = tuple(field.name for field in fields(DensityTimed))
NetworkTimed.COLUMNS = tuple(field.name for field in fields(NetworkTimed))
Accuracy.COLUMNS = tuple(field.name for field in fields(Accuracy))


def break_even(speeds: Iterable[tuple[float, float]]) -> float | None:
    """The density at which both take as long, on logarithmic axes; None where all are one side.

    Args:
        speeds: density and dense time over that of the blocks.
    """
    points = sorted((math.log(share), math.log(speed)) for share, speed in speeds)
    for (low, fast), (high, slow) in itertools.pairwise(points):
        if fast >= 0 > slow:
            return math.exp(low + (high - low) * fast / (fast - slow))
    return None
