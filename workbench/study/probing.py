"""Reading probes: one value per seed, a curve per seed, or one number with its interval."""

from __future__ import annotations

import numpy as np

from workbench.study.study import Outcome, Probe


def measured(probe: Probe, outcome: Outcome) -> np.ndarray:
    """What the probe says, of the shape its level asks for.

    Raises:
        ValueError: naming the probe; a single number for all seeds, spread over them, would pass
            for eight measurements that agree perfectly.
    """
    value = np.asarray(probe.measure(outcome), dtype=float)
    count = len(outcome.seeds)
    fits = {
        "trial": value.shape == (count,),
        "series": value.ndim == 2 and value.shape[0] == count,
        "population": value.shape == (),
    }
    if fits[probe.level]:
        return value
    wanted = {
        "trial": f"one number per seed, shape ({count},)",
        "series": f"one row per seed, shape ({count}, points)",
        "population": "one number for all seeds",
    }
    raise ValueError(
        f"probe {probe.name!r} at level {probe.level!r} must give {wanted[probe.level]}. "
        f"It gave shape {value.shape}"
    )


def jackknife(probe: Probe, outcome: Outcome, value: float) -> tuple[float, float]:
    """95 % interval of a population probe by leaving out one seed at a time (Tukey 1958).

    Drawing seeds with replacement would count a picture beside itself, which diversity and kernel
    distances take for a real pair. Valid for smooth measures; a median or a maximum is none.
    """
    from scipy.special import stdtrit

    count = len(outcome.seeds)
    if count < 4:
        return float("nan"), float("nan")
    every = np.arange(count)
    left_out = [float(measured(probe, _taken(outcome, every[every != i]))) for i in range(count)]
    error = np.sqrt((count - 1) * np.var(left_out))
    half = float(stdtrit(count - 1, 0.975) * error)
    return value - half, value + half


def _taken(outcome: Outcome, chosen: np.ndarray) -> Outcome:
    pick = {name: array[chosen] for name, array in outcome.outputs.items()}
    reference = {name: array[chosen] for name, array in outcome.reference.items()}
    return Outcome(
        outcome.method,
        outcome.subject,
        tuple(outcome.seeds[i] for i in chosen),
        outcome.draw,
        pick,
        reference,
        outcome.artifact,
    )
