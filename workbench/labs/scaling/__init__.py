"""Scaling lab: a table of runs becomes a law, and a law a decision with its interval.

from workbench.labs import scaling

scaling.fit("runs.csv")  # a law on a table: tested on its largest runs first, then believed
scaling.decide()  # how to spend a budget: size, tokens, days, memory, price
scaling.compare()  # what a method is worth in compute
scaling.precision()  # bits under a memory cap, and the share of quantisation-aware training
scaling.test_time()  # what answers cost: tokens, trials, sparse attention
scaling.bias()  # how wrong parabolas are with no noise at all
scaling.curves()  # approach 1: the best run at each compute, from curves under way
scaling.plan()  # a grid of runs that brackets its optima, and the run that tells most
scaling.sweep("my-study")  # runs as they come in
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "bias": "workbench.labs.scaling.bias_view",
    "compare": "workbench.labs.scaling.compare_view",
    "curves": "workbench.labs.scaling.envelope_view",
    "decide": "workbench.labs.scaling.decide_view",
    "fit": "workbench.labs.scaling.fit_view",
    "plan": "workbench.labs.scaling.plan_view",
    "precision": "workbench.labs.scaling.precision_view",
    "sweep": "workbench.labs.scaling.sweep_view",
    "test_time": "workbench.labs.scaling.test_time_view",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
