"""Curves of a study: what was kept of one method at each step or frequency, picture by picture."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np

from workbench.study.comparison import Comparison

Curve = dict[int, np.ndarray]

_seen: dict[int, dict[tuple[str, str], Curve]] = {}
"""What was read from each study that still exists; a slider moves one method of several."""


def curve(name: str, code: str, known: Iterable[Comparison]) -> Curve:
    """Values of all pictures at each place of a series, in order; empty where nothing ran.

    Args:
        name: of the series.
        code: of the method with its settings.
        known: studies with the same sampler, the first that has the method decides.
    """
    for comparison in known:
        read = _read(comparison)
        if (name, code) not in read:
            read[name, code] = _curve(name, code, comparison)
        if read[name, code]:
            return read[name, code]
    return {}


def _read(comparison: Comparison) -> dict[tuple[str, str], Curve]:
    place = id(comparison)
    if place not in _seen:
        _seen[place] = {}
        weakref.finalize(comparison, _seen.pop, place, None)
    return _seen[place]


def _curve(name: str, code: str, comparison: Comparison) -> Curve:
    trials, series = comparison.tables.trials, comparison.tables.series
    ids = trials["trial_id"][trials["code"] == code]
    if ids.empty:
        return {}
    chosen = series[series["trial_id"].isin(ids)]
    by_place = chosen[chosen["name"] == name].groupby("x")["y"]
    return {int(x): values.to_numpy(dtype=float) for x, values in by_place}
