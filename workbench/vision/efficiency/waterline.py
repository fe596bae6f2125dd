"""The waterline: a roofline for a sequence of kernels (Lavin 2024).

Published are the name and the idea, a roofline that is taken kernel by kernel; the drawing rules
are ours. The line is the machine balance W = peak / bandwidth [FLOP/B]. A kernel whose operational
intensity lies under it waits for memory:

t ≥ max(ops / peak, bytes / bandwidth) = ops / peak · max(1, W / OI)

and a sequence reaches at most

efficiency = Σ ops / Σ ops · max(1, W / OI)

which is not what the mean intensity of its kernels would allow: the mean hides those under the
line, and those are why the tool exists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One kernel.

    Args:
        name: of the layer, or of the block whose layers it runs together.
        operations: FLOP of the batch.
        bytes_moved: between main memory and the device.
        layers: names of the layers in it.
    """

    name: str
    operations: float
    bytes_moved: float
    layers: tuple[str, ...] = ()

    @property
    def intensity(self) -> float:
        """Operational intensity [FLOP/B]."""
        return self.operations / self.bytes_moved

    def slowdown(self, balance: float) -> float:
        """max(1, W / OI): how many times longer than its arithmetic takes; infinite without any.

        Args:
            balance: W [FLOP/B].
        """
        if self.operations == 0:
            return math.inf
        return max(1.0, balance / self.intensity)

    def seconds(self, peak: float, bandwidth: float) -> float:
        """The least time [s].

        Args:
            peak: FLOP/s.
            bandwidth: B/s.
        """
        return max(self.operations / peak, self.bytes_moved / bandwidth)


def balance(peak: float, bandwidth: float) -> float:
    """W = peak / bandwidth [FLOP/B].

    Raises:
        ValueError: a rate that is not above 0.
    """
    for name, value in (("peak", peak), ("bandwidth", bandwidth)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}={value:g} must be above 0")
    return peak / bandwidth


def attainable(bars: Iterable[Bar], balance: float) -> float:
    """Σ ops / Σ max(ops, W bytes): the highest efficiency this sequence of kernels can have.

    Args:
        bars: kernels that run one after the other.
        balance: W [FLOP/B].

    Raises:
        ValueError: no arithmetic at all, or a balance that is not above 0.
    """
    if not balance > 0:
        raise ValueError(f"balance={balance:g} must be above 0")
    kernels = list(bars)
    operations = sum(bar.operations for bar in kernels)
    if not operations > 0:
        raise ValueError("bars: no operations; needed a kernel that computes something")
    return operations / sum(max(bar.operations, balance * bar.bytes_moved) for bar in kernels)


def least_seconds(bars: Iterable[Bar], peak: float, bandwidth: float) -> float:
    """Σ max(ops / peak, bytes / bandwidth) [s]."""
    return sum(bar.seconds(peak, bandwidth) for bar in bars)


def intensity(bars: Sequence[Bar]) -> float:
    """Σ ops / Σ bytes [FLOP/B]: for a table; no roofline may be taken of it."""
    return sum(bar.operations for bar in bars) / sum(bar.bytes_moved for bar in bars)
