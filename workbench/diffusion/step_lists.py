"""Which steps run in full: the published lists and the rules that make lists.

Sources: Faster Diffusion (arXiv 2312.09608, §3.3 and its public settings) for key steps of
encoder propagation; DeepCache (arXiv 2312.00858, §3.3 and table 10) for centre-dense steps.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

# Key steps for 50 steps of Stable Diffusion, Faster Diffusion; "paper" is the list of §3.3.
FASTER_DIFFUSION_50: dict[str, tuple[int, ...]] = {
    "paper": (0, 1, 2, 3, 5, 10, 15, 25, 35),
    "second": (0, 10, 11, 12, 15, 20, 25, 30, 35, 45),
    "late": (0, 20, 25, 30, 35, 45, 46, 47, 48, 49),
    "spread": (0, 9, 13, 14, 15, 28, 29, 32, 36, 45),
}

# Key steps of Faster Diffusion's public settings for DeepFloyd IF: its first stage in 100 or in 75
# steps, and its second stage, which enlarges, in 50. The third stage has `triangular`, in 75.
DEEPFLOYD_STEPS: dict[str, int] = {"100ls": 100, "75ls": 75, "s2": 50}
DEEPFLOYD: dict[str, tuple[int, ...]] = {
    "100ls": tuple(i for i in range(100) if i < 10 or i > 85 or i % 5 == 0),
    "75ls": tuple(i for i in range(75) if i < 10 or i > 65 or i % 5 == 0),
    "s2": tuple(i for i in range(50) if i < 20 or i > 40 or i % 2 == 0),
}


def uniform(steps: int, interval: int) -> tuple[int, ...]:
    """Every `interval`-th step from 0."""
    return tuple(range(0, steps, interval))


def published(name: str, steps: int) -> tuple[int, ...]:
    """A list of Faster Diffusion for Stable Diffusion or for DeepFloyd IF.

    Those for Stable Diffusion's 50 steps are stretched where the run is not 50 steps long, and a
    stretched list is ours. Those for DeepFloyd IF (`DEEPFLOYD`) are dense at both ends, which no
    stretching keeps: each belongs to its own number of steps.

    Raises:
        ValueError: for a list of DeepFloyd IF in a run of another length.
    """
    if name in DEEPFLOYD:
        if steps != DEEPFLOYD_STEPS[name]:
            raise ValueError(
                f"The list {name} is for runs of {DEEPFLOYD_STEPS[name]} steps. This run has "
                f"{steps}"
            )
        return DEEPFLOYD[name]
    keys = FASTER_DIFFUSION_50[name]
    if steps == 50:
        return keys
    return tuple(sorted({math.floor(key * steps / 50) for key in keys}))


def triangular(steps: int) -> tuple[int, ...]:
    """Steps i for which 9 + 8i is a square: 0, 2, 5, 9, 14, … (the "pro" list).

    Faster Diffusion's public settings give it to DeepFloyd IF's third stage, in 75 steps.
    """
    return tuple(i for i in range(steps) if math.isqrt(9 + 8 * i) ** 2 == 9 + 8 * i)


def front_dense(steps: int, interval: int, power: float) -> tuple[int, ...]:
    """Full steps crowded at the start, ``ceil(steps / interval)`` of them.

    Point k of n lies at steps · (k / n)^power, cut to a step; where two fall together the later
    one moves on. A-SDM (arXiv 2406.00210) names the mode without a formula; this one is ours.

    Args:
        power: how strongly they crowd; 1 is uniform.
    """
    wanted = math.ceil(steps / interval)
    found = [math.floor(steps * (k / wanted) ** power) for k in range(wanted)]
    for k in range(1, wanted):
        found[k] = max(found[k], found[k - 1] + 1)
    return tuple(found)


def back_dense(steps: int, interval: int, power: float) -> tuple[int, ...]:
    """`front_dense` with its gaps in reverse: full steps crowd at the end. Ours as well."""
    starts = (*front_dense(steps, interval, power), steps)
    gaps = [b - a for a, b in pairwise(starts)]
    return tuple(sum(gaps[len(gaps) - k :]) for k in range(len(gaps)))


def window(steps: int, interval: int, first: int, last: int) -> tuple[int, ...]:
    """The `first` and `last` steps in full, and every `interval`-th in between.

    A-SDM (arXiv 2406.00210) names the mode without a formula; this one is ours.
    """
    between = range(first, max(first, steps - last), interval)
    return tuple(
        sorted(
            {0, *range(min(first, steps)), *between, *range(steps - last, steps)}
            & set(range(steps))
        )
    )


def centre_dense(steps: int, interval: int, centre: float, power: float) -> tuple[int, ...]:
    """Full steps crowded around `centre`, about ``ceil(steps / interval)`` of them.

    DeepCache §3.3: points evenly spaced between (-c)^(1/p) and (T-c)^(1/p), raised to the power p
    and shifted back by c. The root of the negative end is complex: points and powers are complex
    and the real part is cut to an integer, as in the published implementation. The power is
    lowered by 0.02 until exactly the wanted number of distinct steps is left.

    Args:
        centre: the step around which full steps crowd, c.
        power: how strongly they crowd, p; 1 is uniform.

    Raises:
        ValueError: where no power gives a rising list inside the run.
    """
    wanted = math.ceil(steps / interval)
    if wanted >= steps:
        return tuple(range(steps))
    while power > 1:
        start, stop = complex(-centre) ** (1 / power), complex(steps - centre) ** (1 / power)
        offsets = np.unique((np.linspace(start, stop, wanted + 1) ** power).real.astype(int))
        # The two ends are step 0, which is always in, and the end of the run.
        found = (0, *(int(offset + centre) for offset in offsets[1:-1]))
        rising = all(a < b for a, b in pairwise((*found, steps)))
        if len(found) == wanted and rising:
            return found
        power -= 0.02
    raise ValueError(
        f"No list of {wanted} steps around step {centre:g} in a run of {steps}; "
        "choose a centre inside the run"
    )
