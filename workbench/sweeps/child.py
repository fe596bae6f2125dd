"""The process of one job: takes the runs that are not done, calls the function, writes what came.

Started by `workbench.sweeps.supervising` and by nothing else.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from workbench.progress import Cancelled
from workbench.runs import AlreadyFinished, LeaseLost, Store, Writer
from workbench.sweeps.grid import Settings
from workbench.sweeps.job import Job
from workbench.sweeps.order import Order, order_of
from workbench.sweeps.results import results_of
from workbench.sweeps.study import Study
from workbench.sweeps.supervising import GONE, STOPPED
from workbench.sweeps.travelling import takes_job, unpacked
from workbench.sweeps.watching import Watch, end_all


def main(head: dict[str, Any]) -> int:
    """Does the order that comes on the standard input; 0, or why not all of it was done.

    Args:
        head: the order without its function, the function's bytes, the parent's number, the cores
            to stay on.
    """
    order = order_of(head["order"], sys.stdin.buffer.read())
    if len(order.function) != head["size"]:  # who was writing it is gone
        return GONE
    if head["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, head["cores"])
    study = Study(order.study, order.store)
    watch = Watch(study, order.token, head["parent"], order.grace)
    try:
        _do(order, watch)
    except LeaseLost as error:
        print(error, file=sys.stderr)
        return GONE
    except Cancelled:
        return STOPPED
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        watch.over()
    return 0


def _do(order: Order, watch: Watch) -> None:
    with ExitStack() as stack:
        found = _taken(order, stack)
        if not found:
            return
        settings = [one for one, _ in found]
        job = Job([writer for _, writer in found], Store(order.store), watch)
        watch.overdue = job.stopped
        try:
            answer = _call(unpacked(order.function), settings, job, order.together)
            watch.over()
            results = results_of(answer, len(settings), order.together)
        except BaseException:
            watch.over()
            job.leave()
            raise
        job.finish(results)


def _taken(order: Order, stack: ExitStack) -> list[tuple[Settings, Writer]]:
    """The runs that are not done, to be written here; waits where another writes one of them.

    All take them in the order of their names, so that no two jobs wait for each other.
    """
    pairs = list(zip(order.settings, order.runs(), strict=True))
    taken: dict[str, Writer] = {}
    for _, run in sorted(pairs, key=lambda pair: pair[1].id):
        try:
            taken[run.id] = stack.enter_context(run.writing(wait=None, on_lost=end_all))
        except AlreadyFinished:
            continue
    return [(one, taken[run.id]) for one, run in pairs if run.id in taken]


def _call(train: Callable[..., Any], settings: list[Settings], job: Job, together: bool) -> Any:
    given: Any = settings if together else settings[0]
    return train(given, job) if takes_job(train) else train(given)
