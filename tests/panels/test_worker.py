"""Latest wins, cancel between chunks, errors reported, nothing late."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from workbench.panels.worker import Done, Event, Failed, Part, Progress, Started, Stopped, Worker


class Ear:
    def __init__(self) -> None:
        self.events: list[tuple[Event, Any]] = []

    def __call__(self, event: Event, tag: Any) -> None:
        self.events.append((event, tag))

    def kinds(self, tag: Any) -> list[type]:
        return [type(event) for event, own in self.events if own == tag]


def chunks(count: int, seconds: float = 0.005) -> Any:
    def job(report: Any) -> Iterator[int]:
        for index in range(count):
            report(index, count)
            time.sleep(seconds)
            yield index

    return job


@pytest.fixture
def pair() -> Iterator[tuple[Worker, Ear]]:
    ear = Ear()
    worker = Worker(ear)
    yield worker, ear
    worker.close()


def test_a_job_reports_parts_and_its_last_result(pair: tuple[Worker, Ear]) -> None:
    worker, ear = pair
    worker.submit(chunks(3), "a")
    assert worker.wait()
    assert ear.kinds("a") == [Started, Progress, Part, Progress, Part, Progress, Part, Done]
    last = ear.events[-1][0]
    assert isinstance(last, Done) and last.result == 2 and last.seconds > 0


def test_latest_wins_and_the_replaced_job_is_silent_afterwards(pair: tuple[Worker, Ear]) -> None:
    worker, ear = pair
    worker.submit(chunks(1000), "old")
    while not ear.kinds("old"):
        time.sleep(0.001)
    worker.submit(chunks(2), "new")
    assert worker.wait()
    assert Done not in ear.kinds("old") and Stopped not in ear.kinds("old")
    order = [tag for _, tag in ear.events]
    assert "old" not in order[order.index("new") :]
    assert ear.kinds("new")[-1] is Done


def test_quiet_time_folds_many_moves_into_one_run(pair: tuple[Worker, Ear]) -> None:
    worker, ear = pair
    for move in range(10):
        worker.submit(chunks(1), move, delay=0.05)
    assert worker.wait()
    assert {tag for _, tag in ear.events} == {9}


def test_stop_is_heard_with_what_was_done(pair: tuple[Worker, Ear]) -> None:
    worker, ear = pair
    worker.submit(chunks(1000), "a")
    while len(ear.events) < 8:
        time.sleep(0.001)
    worker.stop()
    assert worker.wait()
    last = ear.events[-1][0]
    assert isinstance(last, Stopped) and 0 < last.done < 1000 and last.total == 1000


def test_stop_ends_a_job_that_waits_and_no_later_one(pair: tuple[Worker, Ear]) -> None:
    """Also behind a replaced job that has not yet seen that it was."""
    worker, ear = pair
    worker.submit(chunks(1, 0.3), "old")
    while not ear.kinds("old"):
        time.sleep(0.001)
    worker.submit(chunks(1), "waits")
    worker.stop()
    assert ear.events[-1] == (Stopped(0, 0, 0.0), "waits") and worker.busy
    worker.stop()
    assert worker.wait()
    assert ear.kinds("waits") == [Stopped]


def test_a_stopped_worker_runs_the_next_job(pair: tuple[Worker, Ear]) -> None:
    worker, ear = pair
    worker.submit(chunks(500), "a")
    while not ear.kinds("a"):
        time.sleep(0.001)
    worker.stop()
    worker.submit(chunks(1), "b")
    assert worker.wait()
    assert ear.kinds("b")[-1] is Done


def test_an_exception_becomes_an_event_with_its_traceback(pair: tuple[Worker, Ear]) -> None:
    worker, ear = pair

    def job(report: Any) -> Iterator[int]:
        yield 1
        raise ValueError("no room")

    worker.submit(job, "a")
    assert worker.wait()
    last = ear.events[-1][0]
    assert isinstance(last, Failed) and str(last.error) == "no room"
    assert "raise ValueError" in last.trace


def test_work_is_done_in_one_daemon_thread(pair: tuple[Worker, Ear]) -> None:
    worker, _ = pair
    seen: list[threading.Thread] = []

    def job(report: Any) -> Iterator[None]:
        seen.append(threading.current_thread())
        yield None

    for _ in range(2):
        worker.submit(job)
        assert worker.wait()
    assert seen[0] is seen[1] and seen[0].daemon
    assert seen[0] is not threading.current_thread()


def test_a_closed_worker_takes_no_job() -> None:
    worker = Worker(Ear())
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(chunks(1))
