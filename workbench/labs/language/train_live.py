"""Training side by side: a thread for each run, one computing at a time, each resumable."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.labs.language.train_runs import Planned
from workbench.labs.language.turns import Turns
from workbench.progress import Cancelled, Report

if TYPE_CHECKING:
    from workbench.runs import Store

EVERY = 0.4
"""Seconds between two pictures."""


@dataclass
class Progress:
    """How far one run is in this session.

    Attributes:
        done: updates.
        state: "waiting", "running", "paused", "done", "stopped" where its loss was no number,
            "failed".
        error: what ended it.
        first, before: updates done when it was first heard of in this session, and seconds until
            then: reading, compiling.
    """

    plan: Planned
    done: int = 0
    state: str = "waiting"
    error: BaseException | None = None
    first: int = 0
    before: float | None = None


def watch(plans: Sequence[Planned], store: Store, report: Report) -> Iterator[list[Progress]]:
    """Trains all runs by turns; whatever is saved goes on from its last checkpoint.

    Args:
        report: called between pictures; what it raises pauses every run at its next update, with a
            checkpoint.

    Yields:
        How far each run is.
    """
    found = [Progress(plan) for plan in plans]
    turns = Turns([plan.run.id for plan in plans])
    threads = [
        threading.Thread(target=_train, args=(one, turns, store), name=one.plan.name, daemon=True)
        for one in found
    ]
    for thread in threads:
        thread.start()
    total = sum(plan.recipe.steps for plan in plans)
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(EVERY)
            report(sum(one.done for one in found), total, _note(found))
            yield found
    finally:
        turns.halt()
        for thread in threads:
            thread.join()
        for one in found:
            _keep_seconds(one, turns, store)
    yield found


def _train(one: Progress, turns: Turns, store: Store) -> None:
    from workbench.training import NotANumber, train

    name = one.plan.run.id

    def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
        one.done, one.state = done, "running"
        if one.before is None and done:
            one.first, one.before = done, turns.spent(name)
        turns.tick(name)

    try:
        turns.begin(name)
        train(one.plan.task, one.plan.recipe, report=told, store=store)
        one.done, one.state = one.plan.recipe.steps, "done"
    except Cancelled:
        one.state = "paused"
    except NotANumber as error:
        one.state, one.error = "stopped", error
    except Exception as error:  # shown in the run's row; the others go on
        one.state, one.error = "failed", error
    finally:
        turns.leave(name)


def _note(found: Sequence[Progress]) -> str:
    running = [one for one in found if one.state in ("running", "waiting")]
    if running and all(one.done == 0 for one in running):
        return f"Compiling {', '.join(one.plan.name for one in running)}"
    return f"Training {len(running)} of {len(found)}"


def _keep_seconds(one: Progress, turns: Turns, store: Store) -> None:
    """Seconds of this session's updates; waiting for a turn and compiling are left out."""
    seconds = turns.active[one.plan.run.id] - (one.before or 0.0)
    if one.before is not None and seconds > 0 and one.done > one.first:
        store.add_timing(
            kind="training", run=one.plan.run.id, seconds=seconds, updates=one.done - one.first
        )
