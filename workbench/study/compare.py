"""`compare`: run methods over a study's seeds, time them against each other, fill the tables."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from workbench.measure.intervals import jackknife
from workbench.measure.roofline import Peaks
from workbench.progress import Report, part, silent
from workbench.study.comparison import Comparison, without
from workbench.study.costing import Ready, cost_column, timed_seeds
from workbench.study.measuring import steps
from workbench.study.method import Method, digest
from workbench.study.probing import measured, without_each
from workbench.study.study import Outcome, Outputs, Probe, Study, as_outputs, join
from workbench.study.tables import ARRAYS, SERIES, Column, Tables
from workbench.study.utilisation import with_compression

FEWEST_ROUNDS = 3


Artifacts = dict[tuple[Method, int | None], Any]
"""Prepared artifacts, by seed where they depend on it."""


class Memory(Protocol):
    """Where finished outputs are kept between sessions; `workbench.runs.Store` is one."""

    def recall(self, key: str) -> tuple[Outputs, dict[str, Any]] | None: ...

    def remember(self, key: str, arrays: Outputs, record: dict[str, Any]) -> Any: ...


def compare(
    methods: Sequence[Method],
    study: Study,
    *,
    repeats: int = 7,
    memory: Memory | None = None,
    peaks: Peaks | None = None,
    report: Report = silent,
) -> Comparison:
    """Compare methods on a study; the first one is the baseline.

    Quality comes from every seed and is recalled from `memory` when the same method, settings,
    subject and inputs were run before. Cost is measured afresh: all methods take turns for
    `repeats` rounds, the baseline twice a round, so that the difference between its two turns is
    the noise floor. Beside time stand compile time, throughput, the share of the device's peak
    rates, mean power where a sensor can be read, and memory where the study asks for it.

    Args:
        repeats: timed rounds, at least 3; 0 measures no time and no other cost.
        peaks: peak rates to hold the work against; None takes those measured here before, and
            measures them, once, where there are none (`roofline.measured(again=True)` replaces
            them).

    Raises:
        ValueError: for no methods, one given twice, one or two rounds, or peaks without a figure
            for the study's float type.
        MethodError: when a method's `check` finds an error; nothing has run then.
        Cancelled: from `report`; outputs already finished stay in `memory`.
    """
    *_, last = progressive(
        methods, study, repeats=repeats, memory=memory, peaks=peaks, report=report
    )
    return last


def progressive(
    methods: Sequence[Method],
    study: Study,
    *,
    repeats: int = 7,
    memory: Memory | None = None,
    peaks: Peaks | None = None,
    report: Report = silent,
) -> Iterator[Comparison]:
    """`compare`, handing out what is known after each method, with times, and with each cost."""
    if repeats != 0 and repeats < FEWEST_ROUNDS:
        raise ValueError(
            f"repeats must be 0 (no timing) or at least {FEWEST_ROUNDS}, so that times have an "
            f"interval. You gave {repeats}"
        )
    methods = distinct(methods)
    for method in methods:
        method.require(study.subject)
    baseline = methods[0]
    measuring = steps(methods, study, repeats, peaks)
    artifacts: Artifacts = {}
    first_calls: dict[str, float] = {}
    reference: Outputs = {}
    kept: dict[str, Outputs] = {}
    tables: Tables | None = None
    stages = len(methods) + len(measuring)
    for index, method in enumerate(methods):
        share = part(report, index, stages)
        outputs = _outputs(method, study, artifacts, first_calls, memory, share)
        reference = outputs if method is baseline else reference
        first = artifacts.get(_artifact_key(method, study.seeds[0]))
        rows = _quality(method, study, outputs, reference, first)
        tables = rows if tables is None else tables.join(rows)
        tables = with_compression(tables, baseline.name)
        yield Comparison(tables, baseline.name, {**kept, method.name: outputs})
        kept[method.name] = outputs
    if tables is None or not measuring:
        return
    share = part(report, len(methods), stages)
    prepared = {m.name: _artifact(m, study, study.seeds[0], artifacts, share) for m in methods}
    ready = Ready(methods, study, prepared, first_calls)
    for index, step in enumerate(measuring, len(methods)):
        tables = step(tables, ready, part(report, index, stages))
        yield Comparison(tables, baseline.name, kept)


def distinct(methods: Sequence[Method]) -> list[Method]:
    """The methods under names of their own: settings join the name where a method comes twice.

    Raises:
        ValueError: for no methods, or the same one with the same settings twice.
    """
    if not methods:
        raise ValueError("methods is empty; the first method is the baseline")
    names = [method.name for method in methods]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        methods = [_labelled(m) if m.name in repeated else m for m in methods]
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is in methods twice with the same settings")
    return list(methods)


def _labelled(method: Method) -> Method:
    """The same method with the settings that differ from the defaults in its name."""
    labelled = copy(method)
    changed = [f"{n.replace('_', ' ')} {v}" for n, v in method.changed.items()]
    labelled.name = ", ".join([method.name, *changed])
    return labelled


def _outputs(
    method: Method,
    study: Study,
    artifacts: Artifacts,
    first_calls: dict[str, float],
    memory: Memory | None,
    report: Report,
) -> Outputs:
    groups = list(study.groups(method))
    parts = []
    for index, seeds in enumerate(groups):
        share = part(report, index, len(groups))
        key = digest({"study": study.fingerprint, "method": method.identity(), "seeds": seeds})
        known = memory.recall(key) if memory is not None else None
        if known is None:
            share(0, 1, method.name)
            artifact = _artifact(method, study, seeds[0], artifacts, share)
            inputs = study.inputs(seeds)
            began = time.perf_counter()
            found = as_outputs(method.apply(artifact, inputs))
            if len(seeds) == timed_seeds(study):
                first_calls.setdefault(method.name, time.perf_counter() - began)
            if memory is not None:
                record = {"study": study.name, "seeds": list(seeds), **method.identity()}
                memory.remember(key, found, record)
        else:
            found = known[0]
        share(1, 1, method.name)
        parts.append(found)
    joined = join(parts) if len(parts) > 1 else parts[0]
    return joined if study.derive is None else {**joined, **study.derive(joined)}


def _artifact(method: Method, study: Study, seed: int, artifacts: Artifacts, report: Report) -> Any:
    """The artifact for this seed; one that depends on no seed is prepared once.

    Of those that depend on it only the first seed's is kept, which is the one that is timed.
    """
    key = _artifact_key(method, seed)
    if key in artifacts:
        return artifacts[key]
    artifact = method.prepare(study.subject, seed, report)
    if not method.seeded or seed == study.seeds[0]:
        artifacts[key] = artifact
    return artifact


def _artifact_key(method: Method, seed: int) -> tuple[Method, int | None]:
    return method, seed if method.seeded else None


def _quality(
    method: Method, study: Study, outputs: Outputs, reference: Outputs, artifact: Any
) -> Tables:
    import pandas as pd

    outcome = Outcome(
        method, study.subject, study.seeds, study.inputs, outputs, reference, artifact
    )
    ids = [trial_id(study, method, seed) for seed in study.seeds]
    trials = pd.DataFrame({"trial_id": ids, "method": method.name, "seed": study.seeds})
    trials["study"] = study.name
    trials["subject"] = study.subject.name
    trials["code"] = method.code()
    for name, value in method.settings.items():
        trials[f"knob.{name}"] = str(value) if isinstance(value, tuple) else value
    columns: dict[str, Column] = {}
    curves = []
    for probe in study.probes:
        value = measured(probe, outcome)
        meaning = probe.meaning
        if probe.level == "series":
            curves.append(_series(ids, probe, value))
        elif probe.level == "trial":
            trials[probe.column] = value
            columns[probe.column] = meaning
        else:
            left_out = without_each(probe, outcome)
            found, spread = (
                jackknife(float(value), left_out),
                (f"{probe.column}.low", f"{probe.column}.high"),
            )
            trials[probe.column], trials[without(probe.column)] = found.value, left_out
            trials[spread[0]], trials[spread[1]] = found.low, found.high
            columns[probe.column] = replace(meaning, spread=spread)
    modelled = method.predict(study.subject).as_columns()
    for name, value in modelled.items():
        trials[name] = value
        columns[name] = cost_column(name, "modelled")
    series = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=SERIES)
    return Tables(trials, series, pd.DataFrame(columns=ARRAYS), columns)


def trial_id(study: Study, method: Method, seed: int) -> str:
    """Names one trial: study, method with settings, seed."""
    return digest({"study": study.fingerprint, "method": method.identity(), "seed": seed})


def _series(ids: list[str], probe: Probe, values: np.ndarray) -> Any:
    import pandas as pd

    seeds, points = values.shape
    return pd.DataFrame(
        {
            "trial_id": np.repeat(ids, points),
            "name": probe.name,
            "axis": probe.axis,
            "x": np.tile(np.arange(points), seeds),
            "y": values.reshape(-1),
        }
    )
