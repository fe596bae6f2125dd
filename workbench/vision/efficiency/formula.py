"""Latency, operations and efficiency (Lavin 2024, abstract: latency and arithmetic complexity are
tied through computational efficiency).

latency = operations / (efficiency · peak),  operations = 2 · multiply-accumulates
"""

from __future__ import annotations

import math


def ideal_latency(operations: float, peak: float) -> float:
    """Seconds at efficiency 1: operations / peak.

    Args:
        operations: FLOP.
        peak: FLOP/s of the device for the numbers' type.

    Raises:
        ValueError: operations or a peak that are not above 0.
    """
    _positive(operations=operations, peak=peak)
    return operations / peak


def latency(operations: float, efficiency: float, peak: float) -> float:
    """Seconds at an efficiency: operations / (efficiency · peak).

    Args:
        operations: FLOP.
        efficiency: above 0, at most 1.
        peak: FLOP/s.

    Raises:
        ValueError: an argument out of its range.
    """
    _positive(operations=operations, efficiency=efficiency, peak=peak)
    if efficiency > 1:
        raise ValueError(f"efficiency={efficiency:g} is above 1, more than the peak allows")
    return operations / (efficiency * peak)


def computational_efficiency(operations: float, seconds: float, peak: float) -> float:
    """Share of the peak that was reached: operations / (latency · peak).

    Above 1 the peak is too low for the device: the measurement is not bent to fit it.

    Args:
        operations: FLOP.
        seconds: measured latency.
        peak: FLOP/s.

    Raises:
        ValueError: an argument that is not above 0.
    """
    _positive(operations=operations, seconds=seconds, peak=peak)
    return operations / (seconds * peak)


def gap(operations: float, seconds: float, peak: float) -> float:
    """How many times longer than ideal: latency / ideal latency = 1 / efficiency.

    On a logarithmic axis of latency it is the distance between the two points.

    Raises:
        ValueError: as in `computational_efficiency`.
    """
    return 1 / computational_efficiency(operations, seconds, peak)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}={value:g} must be above 0")
