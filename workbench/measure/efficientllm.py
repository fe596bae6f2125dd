"""The six metrics of EfficientLLM (arXiv 2505.13840), from traces of a run.

The paper's formulas are followed where it gives them; where the paper and its published monitor
expand a name differently, the docstring says which one is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal


def time_mean(values: Sequence[float], times: Sequence[float] | None = None) -> float:
    """Mean of a trace over time; plain mean without ``times``, else by the trapezoid rule.

    Args:
        values: samples.
        times: when each was taken [s], rising.

    Raises:
        ValueError: for an empty trace, lengths that differ, or times that do not rise.
    """
    if not values:
        raise ValueError("values is empty; a mean needs at least one sample")
    if times is None:
        return sum(values) / len(values)
    if len(times) != len(values):
        raise ValueError(f"times has {len(times)} entries and values {len(values)}")
    if len(values) == 1:
        return values[0]
    steps = [after - before for before, after in pairwise(times)]
    if min(steps) <= 0:
        raise ValueError("times must rise from sample to sample")
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    return sum(m * s for m, s in zip(middles, steps, strict=True)) / (times[-1] - times[0])


def memory_utilisation(
    used: Sequence[float], capacity: float, times: Sequence[float] | None = None
) -> float:
    """AMU: mean over time of memory in use [B], as a fraction of the device's ``capacity`` [B]."""
    return time_mean(used, times) / _positive("capacity", capacity)


def compute_utilisation(
    achieved: Sequence[float], peak: float, times: Sequence[float] | None = None
) -> float:
    """PCU: mean over time of achieved arithmetic [flop/s], as a fraction of ``peak`` [flop/s]."""
    return time_mean(achieved, times) / _positive("peak", peak)


def average_latency(compute: Sequence[float], communication: Sequence[float] = ()) -> float:
    """AL = Σ (compute + communication) / N [s], over the N steps of ``compute``."""
    if not compute:
        raise ValueError("compute is empty; a mean latency needs at least one step")
    if communication and len(communication) != len(compute):
        raise ValueError(f"communication has {len(communication)} steps and compute {len(compute)}")
    return (sum(compute) + sum(communication)) / len(compute)


def throughput(
    kind: Literal["TT", "ST", "IT"],
    amounts: Sequence[float],
    seconds: Sequence[float],
    parameters: float | None = None,
) -> float:
    """TT = Σ (tokens / parameters) / Σ time; ST the same with samples; IT = Σ tokens / Σ time.

    Args:
        kind: training, fine-tuning or inference.
        amounts: tokens (TT, IT) or samples (ST) of each step.
        seconds: time of each step [s].
        parameters: number of parameters of the model, for TT and ST.

    Raises:
        ValueError: for an unknown kind, missing parameters, or times that sum to nothing.
    """
    if kind not in ("TT", "ST", "IT"):
        raise ValueError(f'kind is {kind!r}; it must be "TT", "ST" or "IT"')
    if len(amounts) != len(seconds):
        raise ValueError(f"amounts has {len(amounts)} steps and seconds {len(seconds)}")
    rate = sum(amounts) / _positive("the sum of seconds", sum(seconds))
    if kind == "IT":
        return rate
    if parameters is None:
        raise ValueError(f"{kind} is throughput per parameter; give parameters")
    return rate / _positive("parameters", parameters)


def mean_power(watts: Sequence[float], times: Sequence[float] | None = None) -> float:
    """AEC: mean power over time [W], from the samples of a sensor."""
    return time_mean(watts, times)


def compression(
    size_before: float, size_after: float, quality_before: float = 1.0, quality_after: float = 1.0
) -> float:
    """MCR = (size before / size after) x (quality after / quality before)."""
    sizes = size_before / _positive("size_after", size_after)
    return sizes * quality_after / _positive("quality_before", quality_before)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} is {value}; it must be above 0")
    return value
