"""Measured cost: methods timed against each other, and their peak memory apart from each other."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.measure import efficientllm
from workbench.measure.cost import field_of
from workbench.progress import Report
from workbench.study.method import Method
from workbench.study.study import Study
from workbench.study.tables import Column, Tables

if TYPE_CHECKING:
    import pandas as pd

    from workbench.measure.timing import Timing

AGAIN = "the baseline again"


def cost_column(name: str, basis: Literal["measured", "modelled"]) -> Column:
    """The meaning of a `cost.*` column."""
    about = field_of(name)
    return Column(about.unit, basis, about.better, about.long_name)


@dataclass(frozen=True)
class Ready:
    """Methods ready to be measured on the first seeds of a study.

    Args:
        artifacts: what `prepare` returned, by method name.
        first_calls: seconds of the call that made a method's first outputs, by method name, where
            it ran in this process on as many seeds as are timed: compilation hides in it.
    """

    methods: Sequence[Method]
    study: Study
    artifacts: Mapping[str, Any]
    first_calls: Mapping[str, float] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """How many outputs one call makes."""
        return timed_seeds(self.study)

    def thunks(self) -> dict[str, Callable[[], Any]]:
        """Each method's call as a function of no arguments."""
        inputs = self.study.inputs(self.study.seeds[: self.outputs])

        def run(method: Method) -> Callable[[], Any]:
            return lambda: method.apply(self.artifacts[method.name], inputs)

        return {method.name: run(method) for method in self.methods}


def timed_seeds(study: Study) -> int:
    """How many seeds run together in a timed call."""
    return min(study.batch, len(study.seeds))


def with_time(tables: Tables, ready: Ready, repeats: int, report: Report) -> Tables:
    """Measured seconds per output, all methods taking turns; each round is kept as a series.

    Beside latency stand throughput (outputs a second) and compile time: the first call of a method
    beyond a warm one. What methods share is compiled by whichever runs first, so the baseline's is
    the longest; a method that ran before in this process compiles nothing.
    """
    import pandas as pd

    from workbench.measure import device, timing

    thunks = ready.thunks()
    base = ready.methods[0].name
    found = timing.interleaved({**thunks, AGAIN: thunks[base]}, repeats=repeats, report=report)
    trials = tables.trials.copy()
    rounds = [_rounds(trials, base, "cost.latency.again", found[AGAIN], ready.outputs)]
    for name in thunks:
        taken = found[name]
        rounds.append(_rounds(trials, name, "cost.latency", taken, ready.outputs))
        first = max(taken.first_call, ready.first_calls.get(name, 0.0))
        counts = [ready.outputs] * len(taken.samples)
        values = {
            "cost.latency": taken.median / ready.outputs,
            "cost.latency_low": taken.low / ready.outputs,
            "cost.latency_high": taken.high / ready.outputs,
            "cost.compile": max(0.0, first - taken.median),
            "cost.throughput": efficientllm.throughput("IT", counts, taken.samples),
        }
        trials.loc[trials["method"] == name, list(values)] = list(values.values())
    trials["device"] = device.label(ready.study.dtype)
    trials["date"] = datetime.date.today().isoformat()
    filled = [frame for frame in (tables.series, *rounds) if len(frame)]
    columns = dict(tables.columns)
    for name in ("cost.latency", "cost.compile", "cost.throughput"):
        columns[name] = cost_column(name, "measured")
    spread = ("cost.latency_low", "cost.latency_high")
    columns["cost.latency"] = replace(columns["cost.latency"], spread=spread)
    columns["cost.throughput"] = replace(columns["cost.throughput"], label="throughput (IT)")
    return Tables(trials, pd.concat(filled, ignore_index=True), tables.arrays, columns)


def _rounds(
    trials: pd.DataFrame, method: str, series: str, taken: Timing, outputs: int
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "trial_id": trials.loc[trials["method"] == method, "trial_id"].iloc[0],
            "name": series,
            "axis": "round",
            "x": np.arange(len(taken.samples)),
            "y": np.asarray(taken.samples) / outputs,
        }
    )


def with_memory(tables: Tables, methods: Sequence[Method], study: Study, report: Report) -> Tables:
    """Peak memory of each method in a process of its own, where the study can start one.

    On a CPU the mean of the same run, over the machine's memory, is the memory utilisation (AMU);
    an accelerator's own memory is watched in `with_stretches`.
    """
    from workbench.measure import device

    assert study.peak is not None, "asked for only where the study can tell"
    here = device.describe(study.dtype)
    whole = here.memory if here.kind == "CPU" else None
    trials, columns = tables.trials.copy(), dict(tables.columns)
    known = {}
    for index, method in enumerate(methods):
        report(index, len(methods), f"measuring memory of {method.name}")
        found = study.peak(method)
        if found is not None:
            known[method.name] = found
    if known:
        # A modelled figure of a method that could not be measured is none of this column's.
        trials["cost.peak_memory"] = np.nan
    for name, found in known.items():
        values = {"cost.peak_memory": float(found.above_imports)}
        if whole and found.mean_above_imports is not None:
            used = [float(found.mean_above_imports)]
            values["cost.memory_utilisation"] = efficientllm.memory_utilisation(used, whole)
        trials.loc[trials["method"] == name, list(values)] = list(values.values())
        columns |= {column: cost_column(column, "measured") for column in values}
    report(len(methods), len(methods), "measured")
    return Tables(trials, tables.series, tables.arrays, columns)
