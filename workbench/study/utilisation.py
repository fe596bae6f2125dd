"""How much of the device a method uses: of its peak rates, its power, its memory; and how much
smaller a model became.

Where a sensor, a count or a size is missing, the column is missing too: nothing is made up.
"""

from __future__ import annotations

from typing import Any

from workbench.measure import efficientllm
from workbench.measure.cost import Cost
from workbench.measure.energy import Missing, Sensor
from workbench.measure.roofline import Peaks, roofline
from workbench.progress import Report
from workbench.study.comparison import Comparison
from workbench.study.costing import Ready, cost_column
from workbench.study.tables import Tables

PEAKS, SENSOR = "peaks", "sensor"
"""Columns that say what utilisation is held against, and what energy was read from or why not."""


def with_peaks(tables: Tables, peaks: Peaks, dtype: str = "float32") -> Tables:
    """Share of the peak arithmetic (PCU), and the roofline where bytes moved are known too.

    PCU = 2 MACs x outputs a second / peak. Tables that have been saved take other peaks the same
    way: `with_peaks(Tables.load(folder), H100.replace(bytes_per_s=3e12))`.

    Raises:
        ValueError: where the peaks have no figure for `dtype`.
    """
    trials, columns = tables.trials.copy(), dict(tables.columns)
    peak = peaks.flops(dtype)
    for method in tables.methods:
        cost = Cost.from_columns(tables.rows(method).iloc[0].to_dict(), basis="measured")
        values: dict[str, float] = {}
        if cost.macs is not None and cost.throughput is not None:
            achieved = [2 * cost.macs * cost.throughput]
            values["compute_utilisation"] = efficientllm.compute_utilisation(achieved, peak)
        if cost.macs is not None and cost.bytes_moved is not None:
            line = roofline(cost, peaks, dtype)
            values["attainable"] = line.seconds
            if line.efficiency is not None:
                values["efficiency"] = line.efficiency
        for name, value in values.items():
            trials.loc[trials["method"] == method, f"cost.{name}"] = value
            basis: Any = "modelled" if name == "attainable" else "measured"
            columns[f"cost.{name}"] = cost_column(name, basis)
    trials[PEAKS] = peaks.label(dtype)
    return Tables(trials, tables.series, tables.arrays, columns)


def with_sensor(tables: Tables, sensor: Sensor | Missing) -> Tables:
    """What energy is read from, or why it is not."""
    said = f"none: {sensor.reason}" if isinstance(sensor, Missing) else sensor.source
    trials = tables.trials.assign(**{SENSOR: said})
    return Tables(trials, tables.series, tables.arrays, tables.columns)


def with_stretches(
    tables: Tables, ready: Ready, sensor: Sensor | Missing, report: Report
) -> Tables:
    """Mean power (AEC), and an accelerator's memory in use (AMU), over a stretch of each method.

    A single timed call may be shorter than a step of an energy counter, and the counter covers
    the whole package or board: so each method runs alone, warm, for as long as the sensor needs.
    """
    import jax

    from workbench.measure import energy, memory

    tables = with_sensor(tables, sensor)
    trials, columns = tables.trials.copy(), dict(tables.columns)
    device, thunks = jax.devices()[0], ready.thunks()
    length = max(1, round(1000 * sensor.stretch))
    for index, (name, thunk) in enumerate(thunks.items()):

        def told(seconds: float, index: int = index, name: str = name) -> None:
            done = index * length + min(length, round(1000 * seconds))
            report(done, len(thunks) * length, f"measuring power of {name}")

        with memory.InUse(device) as used:
            found, _ = energy.over_stretch(thunk, sensor, told)
        values = {"power": found.power, "memory_utilisation": used.utilisation}
        for field, value in values.items():
            if value is not None:
                trials.loc[trials["method"] == name, f"cost.{field}"] = value
                columns[f"cost.{field}"] = cost_column(field, "measured")
        if found.power is None and not isinstance(sensor, Missing):
            trials.loc[trials["method"] == name, SENSOR] = f"none: {found.reason}"
    return Tables(trials, tables.series, tables.arrays, columns)


def with_compression(tables: Tables, baseline: str) -> Tables:
    """Compression rate (MCR) where both models' sizes are known and the quality is above 0.

    (size before / size after) x (quality after / quality before), by the deciding quality; where
    lower is better, its ratio is turned over.
    """
    judging = Comparison(tables, baseline).judging
    if "cost.model_bytes" not in tables.columns or not judging:
        return tables
    quality = judging[0]
    trials, columns = tables.trials.copy(), dict(tables.columns)
    means = trials.groupby("method")[[quality, "cost.model_bytes"]].mean()
    before = means.loc[baseline]
    for method, after in means.iterrows():
        if not ((before > 0).all() and (after > 0).all()):  # false for NaN, which is not known
            continue
        grades = [before[quality], after[quality]]
        if tables.columns[quality].better == "lower":
            grades.reverse()
        sizes = (before["cost.model_bytes"], after["cost.model_bytes"])
        value = efficientllm.compression(*sizes, *grades)
        trials.loc[trials["method"] == method, "cost.compression"] = value
        columns["cost.compression"] = cost_column("compression", "measured")
    return Tables(trials, tables.series, tables.arrays, columns)
