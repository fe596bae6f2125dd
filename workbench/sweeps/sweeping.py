"""One function over a grid of settings, every point a run that is kept and never done twice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from workbench.progress import Bar, Report
from workbench.runs import Run, Store, fingerprint
from workbench.runs.disk import write_json
from workbench.runs.lease import Lease
from workbench.sweeps.executing import Execution
from workbench.sweeps.grid import Settings, grouped, points
from workbench.sweeps.identity import identity_of
from workbench.sweeps.order import GRACE, Order
from workbench.sweeps.owner import ownership
from workbench.sweeps.processes import Processes
from workbench.sweeps.study import Study
from workbench.sweeps.travelling import packed, takes_job

OVER = ("finished", "failed", "stopped")


def sweep(
    train: Callable[..., Any],
    grid: Any,
    *,
    executor: Executor | None = None,
    study: str | None = None,
    together: str | Sequence[str] = (),
    resume: bool = True,
    retries: int = 2,
    cost: Callable[[Settings], float] | None = None,
    store: Store | None = None,
    report: Report | None = None,
    grace: float = GRACE,
) -> Study:
    """Calls `train` for every point of the grid, each in a process of its own and kept as a run.

    A run is its settings, its seed and the function with what it names (code of other modules by
    name alone). A finished one is not done again, in whatever sweep it comes; one broken off is
    called again, and goes on from what it saved in `job.folder`, or by `job.train`. What the
    function raises is noted in the table, and the other runs go on; NaN is a result. A process,
    worker or scheduler that is killed loses nothing: its runs are done again, here, or when the
    sweep is called again. When this process is gone, its jobs end themselves, wherever they run.

    Args:
        train: called with the settings, or with (settings, job); returns a dict of numbers. It may
            be a notebook's cell. A job has `log(step=, **metrics)`, `report(done, total, note)`,
            `folder` and `train(task, recipe)`.
        grid: axes as a mapping of names to lists, or the points as a list of mappings or a table.
        executor: any `concurrent.futures.Executor` whose workers have this package and see the
            store's folder; processes of this machine, one a device, where left out.
        study: name under which `Study(name)` finds the sweep from any process; the function's name
            where left out. Runs of an earlier call of the same function stay in it.
        together: settings whose values are done in one call, by `vmap` for example: the function
            then gets a list of the settings that differ only in these and are not done yet, and
            returns a list of dicts. Each is a run of its own.
        resume: False forgets what the runs of this grid saved, and does all anew.
        retries: how often a job is tried again after its process or worker was lost.
        cost: expected cost of a point in any unit, which makes the time left true where runs
            differ in size.
        store: of the runs; the user's where left out.
        report: called with (done, total, note); what it raises stops the sweep. None draws a bar.
        grace: seconds that a stopped job has before it is ended.

    Returns:
        The study: `table()`, `curves()`, `progress()`.

    Raises:
        TypeError, ValueError: a grid, a function or a name that cannot be taken.
        Busy: another process drives a study of this name.
        ExecutorLost: the executor takes no more jobs.
    """
    names = (together,) if isinstance(together, str) else tuple(together)
    if retries < 0:
        raise ValueError(f"retries is {retries!r}; give 0 or more")
    groups = grouped(points(grid), names)
    takes_job(train)
    function, version = packed(train), fingerprint(train)
    found = Study(study or _name(train), store)
    with _driving(found) as lease:
        orders = [
            Order(
                store=str(found.store.folder), study=found.name, token=lease.token,
                settings=tuple(group), version=version, together=bool(names), function=function,
                grace=grace,
            )
            for group in groups
        ]  # fmt: skip
        if not resume:
            _forget([run for order in orders for run in order.runs()])
        _write_plan(found, lease, groups, version, cost)
        lost: dict[str, str] = {}

        def note_lost(more: dict[str, str]) -> None:
            lost.update(more)
            with lease.held():
                write_json(found.folder / "lost.json", lost)

        with _shown(report, found.name) as shown, _executor(executor) as chosen:
            todo = [order for order in orders if not _is_done(order)]
            Execution(found, chosen, retries, shown, note_lost).run(todo)
            progress = found.progress()
            shown(progress.ended, progress.total, str(progress))
    return found


@contextmanager
def _driving(study: Study) -> Iterator[Lease]:
    study.folder.mkdir(parents=True, exist_ok=True)
    lease = ownership(study.folder)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()


def _write_plan(
    study: Study,
    lease: Lease,
    groups: Sequence[Sequence[Settings]],
    version: str,
    cost: Callable[[Settings], float] | None,
) -> None:
    """Says which runs there are. Of earlier calls those stay that came to an end."""
    now = []
    for job, group in enumerate(groups):
        for one in group:
            run = study.store.run(identity_of(one, version))
            about = {"job": job, "cost": _cost(cost, one), "fence": run.status.fence}
            now.append({"id": run.id, "settings": one, **about})
    asked = {one["id"] for one in now}
    before = study.plan if study.version == version else []
    over = {run.id for run in study.runs() if run.status.state in OVER}
    kept = [{**one, "job": len(groups) + one["job"]} for one in before if one["id"] in over - asked]
    record = {"name": study.name, "version": version, "time": time.time(), "runs": [*kept, *now]}
    with lease.held():
        write_json(study.folder / "study.json", record)
        write_json(study.folder / "lost.json", {})
        write_json(study.folder / "control.json", {"wish": "go", "time": time.time()})


def _cost(cost: Callable[[Settings], float] | None, settings: Settings) -> float:
    value = 1.0 if cost is None else float(cost(settings))
    if not 0 < value < float("inf"):
        raise ValueError(f"cost: is {value!r} for {settings}; give a finite number above 0")
    return value


def _forget(runs: Sequence[Run]) -> None:
    for run in runs:
        if run.status.state == "new":
            continue
        with run.writing(again=True) as writer:
            with writer.held():
                shutil.rmtree(run.checkpoints, ignore_errors=True)
            writer.rewind(-1)
            writer.progress(step=0, seconds=0.0)


def _is_done(order: Order) -> bool:
    return all(run.status.state == "finished" for run in order.runs())


@contextmanager
def _executor(given: Executor | None) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    own = Processes()
    try:
        yield own
    finally:
        own.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _shown(report: Report | None, name: str) -> Iterator[Report]:
    if report is not None:
        yield report
        return
    bar = Bar(name)
    try:
        yield bar
    finally:
        bar.close()


def _name(train: Callable[..., Any]) -> str:
    name = getattr(getattr(train, "func", train), "__name__", "sweep")
    return "sweep" if name == "<lambda>" else name.lstrip("_")
