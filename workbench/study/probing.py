"""Reading probes: one value per seed, a curve per seed, or one number about all of them."""

from __future__ import annotations

import numpy as np

from workbench.study.study import Outcome, Probe


def measured(probe: Probe, outcome: Outcome) -> np.ndarray:
    """What the probe says, of the shape its level asks for.

    Raises:
        ValueError: naming the probe; a single number for all seeds, spread over them, would pass
            for eight measurements that agree perfectly. And for a share that is no yes or no.
    """
    value = np.asarray(probe.measure(outcome), dtype=float)
    count = len(outcome.seeds)
    fits = {
        "trial": value.shape == (count,),
        "series": value.ndim == 2 and value.shape[0] == count,
        "population": value.shape == (),
    }
    if fits[probe.level]:
        return _yes_or_no(probe, value) if probe.share else value
    wanted = {
        "trial": f"one number per seed, shape ({count},)",
        "series": f"one row per seed, shape ({count}, points)",
        "population": "one number for all seeds",
    }
    raise ValueError(
        f"probe {probe.name!r} at level {probe.level!r} must give {wanted[probe.level]}. "
        f"It gave shape {value.shape}"
    )


def _yes_or_no(probe: Probe, value: np.ndarray) -> np.ndarray:
    whole = probe.meaning.whole
    if probe.level != "trial" or not np.isin(value, (0, whole)).all():
        raise ValueError(
            f"probe {probe.name!r} is a share, so it must give each seed 0 or {whole:g}. It gave "
            f"{np.unique(value)[:4].tolist()} at level {probe.level!r}"
        )
    return value


def without_each(probe: Probe, outcome: Outcome) -> np.ndarray:
    """A population probe without each seed in turn; NaN for fewer than four seeds."""
    count = len(outcome.seeds)
    if count < 4:
        return np.full(count, np.nan)
    every = np.arange(count)
    return np.array([float(measured(probe, _taken(outcome, every[every != i]))) for i in every])


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
