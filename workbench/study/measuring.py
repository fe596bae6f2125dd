"""What `compare` measures once the outputs are there, in the order a reader waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.measure.energy import Missing
from workbench.measure.roofline import Peaks
from workbench.progress import Report
from workbench.study.costing import Ready, with_memory, with_time
from workbench.study.method import Method
from workbench.study.study import Study
from workbench.study.tables import Tables
from workbench.study.utilisation import with_peaks, with_sensor, with_stretches

Step = Callable[[Tables, Ready, Report], Tables]


def steps(methods: Sequence[Method], study: Study, repeats: int, peaks: Peaks | None) -> list[Step]:
    """Times first; then what takes longer, each only where there is something to measure.

    Peaks that are given or were kept cost no time and come with the times; measuring them is a
    step of its own, once for a device, after the times are on the screen. So are the stretches
    that power needs (where a sensor can be read) and the processes that memory needs (where the
    study asks for them).

    Raises:
        ValueError: where the given peaks have no figure for the study's float type.
    """
    if not repeats:
        return []
    import jax

    from workbench.measure import device, energy, roofline

    if peaks is not None:
        peaks.flops(study.dtype)
    counted = any(method.predict(study.subject).macs is not None for method in methods)
    known = peaks or (roofline.kept(study.dtype) if counted else None)
    sensor = energy.find(device.describe(study.dtype).kind)
    watched = not isinstance(sensor, Missing) or bool(jax.devices()[0].memory_stats())

    def time(tables: Tables, ready: Ready, report: Report) -> Tables:
        timed = with_time(tables, ready, repeats, report)
        if isinstance(sensor, Missing):
            timed = with_sensor(timed, sensor)
        return timed if known is None else with_peaks(timed, known, study.dtype)

    def peak_rates(tables: Tables, ready: Ready, report: Report) -> Tables:
        def told(done: int, total: int, note: str = "", preview: object = None) -> None:
            report(done, total, "measuring the peak rates of this device, once")

        return with_peaks(tables, roofline.measured(study.dtype, report=told), study.dtype)

    def stretches(tables: Tables, ready: Ready, report: Report) -> Tables:
        return with_stretches(tables, ready, sensor, report)

    def memory(tables: Tables, ready: Ready, report: Report) -> Tables:
        return with_memory(tables, ready.methods, study, report)

    found: list[Step] = [time]
    found += [peak_rates] if counted and known is None else []
    found += [stretches] if watched else []
    found += [memory] if study.peak is not None else []
    return found
