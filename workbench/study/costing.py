"""Measured cost: methods timed against each other, and their peak memory apart from each other."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.measure.cost import field_of
from workbench.progress import Report
from workbench.study.method import Method
from workbench.study.study import Study
from workbench.study.tables import Column, Tables

if TYPE_CHECKING:
    from workbench.measure.timing import Timing

AGAIN = "the baseline again"


def cost_column(name: str, basis: Literal["measured", "modelled"]) -> Column:
    """The meaning of a `cost.*` column."""
    about = field_of(name)
    return Column(about.unit, basis, about.better, about.long_name)


def _timings(
    methods: Sequence[Method],
    study: Study,
    artifacts: Mapping[str, Any],
    repeats: int,
    report: Report,
) -> dict[str, Timing]:
    from workbench.measure import timing

    inputs = study.inputs(study.seeds[: study.batch])

    def run(method: Method) -> Callable[[], Any]:
        return lambda: method.apply(artifacts[method.name], inputs)

    thunks = {method.name: run(method) for method in methods}
    thunks[AGAIN] = thunks[methods[0].name]
    return timing.interleaved(thunks, repeats=repeats, report=report)


def with_time(
    tables: Tables,
    methods: Sequence[Method],
    study: Study,
    artifacts: Mapping[str, Any],
    repeats: int,
    report: Report,
) -> Tables:
    """Measured seconds per output, all methods taking turns; each round is kept as a series."""
    import pandas as pd

    from workbench.measure import device

    timings = _timings(methods, study, artifacts, repeats, report)
    per_run = min(study.batch, len(study.seeds))
    trials = tables.trials.copy()
    rounds = []
    for name in (*[method.name for method in methods], AGAIN):
        owner = methods[0].name if name == AGAIN else name
        rows = trials["method"] == owner
        samples = np.asarray(timings[name].samples) / per_run
        series = "cost.latency.again" if name == AGAIN else "cost.latency"
        first = trials.loc[rows, "trial_id"].iloc[0]
        rounds.append(
            pd.DataFrame(
                {
                    "trial_id": first,
                    "name": series,
                    "axis": "round",
                    "x": np.arange(len(samples)),
                    "y": samples,
                }
            )
        )
        if name != AGAIN:
            trials.loc[rows, "cost.latency"] = float(np.median(samples))
            trials.loc[rows, "cost.latency_low"] = float(samples.min())
            trials.loc[rows, "cost.latency_high"] = float(samples.max())
    trials["device"] = device.label()
    trials["date"] = datetime.date.today().isoformat()
    filled = [frame for frame in (tables.series, *rounds) if len(frame)]
    columns = dict(tables.columns)
    columns["cost.latency"] = Column(
        **{
            **cost_column("cost.latency", "measured").__dict__,
            "spread": ("cost.latency_low", "cost.latency_high"),
        }
    )
    return Tables(trials, pd.concat(filled, ignore_index=True), tables.arrays, columns)


def with_memory(tables: Tables, methods: Sequence[Method], study: Study, report: Report) -> Tables:
    """Peak memory of each method in a process of its own, where the study can start one."""
    assert study.peak is not None, "asked for only where the study can tell"
    trials = tables.trials.copy()
    for index, method in enumerate(methods):
        report(index, len(methods), f"measuring memory of {method.name}")
        peak = study.peak(method)
        if peak is not None:
            trials.loc[trials["method"] == method.name, "cost.peak_memory"] = peak
    report(len(methods), len(methods), "measured")
    columns = dict(tables.columns)
    if "cost.peak_memory" in trials:
        columns["cost.peak_memory"] = cost_column("cost.peak_memory", "measured")
    return Tables(trials, tables.series, tables.arrays, columns)
