"""Curves of a study: what was kept of one method at each step or frequency, picture by picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from workbench.study.comparison import Comparison


def curve(name: str, code: str, known: Iterable[Comparison]) -> dict[int, np.ndarray]:
    """Values of all pictures at each place of a series, in order; empty where nothing ran.

    Args:
        name: of the series.
        code: of the method with its settings.
        known: studies with the same sampler, the first that has the method decides.
    """
    for comparison in known:
        trials, series = comparison.tables.trials, comparison.tables.series
        ids = trials["trial_id"][trials["code"] == code]
        chosen = series[(series["name"] == name) & series["trial_id"].isin(ids)]
        if len(chosen):
            by_place = chosen.groupby("x")["y"]
            return {int(x): values.to_numpy(dtype=float) for x, values in by_place}
    return {}
