"""Jobs through any executor: as they end, the lost ones again, progress, stop."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any

from workbench.progress import Report
from workbench.sweeps.order import Order
from workbench.sweeps.records import ended
from workbench.sweeps.study import Study
from workbench.sweeps.supervising import GONE, supervise

LOOK = 0.3
TELL = 1.0
AGAIN = 1.0
"""Seconds until a lost job is tried again: an executor that closes takes jobs it never runs."""

PATIENCE = 20.0
"""Seconds, beyond a job's grace, that a stopped sweep waits for its executor."""


class ExecutorLost(RuntimeError):
    """The executor takes no more jobs; what finished is kept, and the sweep can be called again."""


class Execution:
    """The orders of a study on an executor, until all have ended.

    What the infrastructure loses (a killed process or worker, a scheduler) is tried again; what the
    function raised is not.

    Args:
        study: whose files say what came of a job.
        executor: that runs the jobs.
        retries: how often a job is tried again after it was lost.
        report: told of every change of the study's progress; what it raises stops the sweep.
        note_lost: told of the runs of a job that is given up, and why.
    """

    def __init__(
        self,
        study: Study,
        executor: Executor,
        retries: int,
        report: Report,
        note_lost: Callable[[dict[str, str]], None],
    ) -> None:
        self.study = study
        self.executor = executor
        self.retries = retries
        self.report = report
        self.note_lost = note_lost
        self._fences = {one["id"]: one["fence"] for one in study.plan}
        self._told = -TELL
        self._waiting: dict[Future[Any], Order] = {}
        self._later: list[tuple[float, Order]] = []
        self._broken: BaseException | None = None

    def run(self, orders: Sequence[Order]) -> None:
        """Runs all orders.

        Raises:
            ExecutorLost: the executor refused a job, and all it had taken has ended.
        """
        try:
            for order in orders:
                self._submit(order)
            while self._waiting or self._later:
                self._look(LOOK)
                self._submit_later()
                self._tell()
        except BaseException:
            self.study.stop()
            self._wind_down()
            raise
        if self._broken is not None:
            raise ExecutorLost(
                "the executor takes no more jobs "
                f"({type(self._broken).__name__}: {self._broken}). What finished is kept: call "
                "sweep again, with a new executor"
            ) from self._broken

    def _submit(self, order: Order) -> None:
        if self._broken is not None:
            return
        try:
            self._waiting[submitted(self.executor, order)] = order
        except Exception as error:  # each executor refuses in classes of its own
            self._broken = error

    def _look(self, seconds: float) -> None:
        if not self._waiting:
            time.sleep(seconds)
            return
        done, _ = wait(self._waiting, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            self._settle(self._waiting.pop(future), future)
        if not done and is_closed(self.executor):
            self._broken = self._broken or RuntimeError("its client is closed")
            self._waiting.clear()

    def _settle(self, order: Order, future: Future[Any]) -> None:
        """Looks into the files of a job that came back, and gives it again where it was lost."""
        left = [run for run in order.runs() if not ended(run.status, self._fences[run.id])]
        if not left or self.study.wish == "stop":
            return
        if order.attempt < self.retries:
            self._later.append((time.monotonic() + AGAIN, order.again()))
            return
        why = f"lost {order.attempt + 1} times, the last time {_reason(future)}"
        self.note_lost({run.id: why for run in left})

    def _submit_later(self) -> None:
        now = time.monotonic()
        due = [order for when, order in self._later if when <= now]
        self._later = [(when, order) for when, order in self._later if when > now]
        if self.study.wish != "stop":
            for order in due:
                self._submit(order)

    def _tell(self) -> None:
        if time.monotonic() - self._told < TELL:
            return
        progress = self.study.progress()
        self._told = time.monotonic()
        self.report(progress.ended, progress.total, str(progress))

    def _wind_down(self) -> None:
        """Waits a while for jobs that were asked to stop; the driver's end stops the others."""
        longest = max((order.grace for order in self._waiting.values()), default=0.0)
        deadline = time.monotonic() + longest + PATIENCE
        while self._waiting and time.monotonic() < deadline:
            self._look(LOOK)
        for future in self._waiting:
            future.cancel()


def submitted(executor: Any, order: Order) -> Future[Any]:
    """A job given to an executor, as a future that ends whatever happens to the job's answer.

    That of a Dask client's executor never ends where its scheduler goes while an answer is fetched;
    so the job is given to the client itself, and all else is as that executor has it.
    """
    dask = sys.modules.get("distributed.cfexecutor")
    if dask is None or type(executor) is not dask.ClientExecutor:
        return executor.submit(supervise, order)
    if executor._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    client = executor._client
    job = client.submit(supervise, order, **executor._kwargs)
    executor._futures.add(job)

    async def answer() -> Any:
        return await job

    def given_up(future: Future[Any]) -> None:
        if future.cancelled() and job.status != "cancelled":
            job.cancel()

    future = asyncio.run_coroutine_threadsafe(answer(), client.loop.asyncio_loop)
    future.add_done_callback(given_up)
    return future


def is_closed(executor: Executor) -> bool:
    """Whether an executor is of a Dask client that closed, whose last jobs never come back."""
    return getattr(getattr(executor, "_client", None), "status", "") == "closed"


def _reason(future: Future[Any]) -> str:
    if future.cancelled():
        return "because the executor gave it up"
    error = future.exception()
    if error is not None:
        return f"by {type(error).__name__}: {error}"
    answer = future.result()
    code, last = answer["code"], answer["tail"].splitlines()[-1:]
    words = f"its process was ended by signal {-code}" if code < 0 else f"it ended with code {code}"
    if code == GONE:
        words = "its parent or lease was gone"
    return " ".join([f"because {words}", *(f"({line})" for line in last)])
