"""Stop, pause, kills: what is saved stays, what is lost is done again, nothing goes on unasked."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.noted import did, each_once, ended, pid_in, quietly, slow, until
from workbench.progress import Cancelled
from workbench.runs import Store
from workbench.sweeps import Processes, Study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


class Beside:
    """A sweep in a thread of its own, steered from here."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(args, options))
        self.thread.start()

    def _run(self, args: Any, options: Any) -> None:
        try:
            quietly(*args, **options)
        except BaseException as error:
            self.error = error

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive() and self.error is None, self.error


def grid(folder: Path, numbers: list[int], pause: float) -> dict[str, Any]:
    return {"folder": str(folder), "n": numbers, "pause": pause}


def rows(study: Study) -> int:
    return len(study.curves())


@pytest.mark.slow
def test_paused_stopped_and_gone_on_with(tmp_path: Path, store: Store) -> None:
    study = Study("slow", store)
    beside = Beside(slow, grid(tmp_path, [1, 2], 0.05), store=store, executor=Processes(1))
    until(lambda: rows(study) > 2)
    study.pause()
    time.sleep(0.5)
    paused = rows(study)
    assert study.progress().running == 1 and "paused" in str(study.progress())
    time.sleep(0.5)
    assert rows(study) == paused < 20
    study.go()
    until(lambda: rows(study) > paused)
    study.stop()
    beside.join()
    stopped = rows(study)
    table = study.table()
    assert list(table["state"]) == ["stopped", "waiting"] and paused < stopped < 20
    assert not did(tmp_path) and not study.progress().driven
    again = quietly(slow, grid(tmp_path, [1, 2], 0.0), store=store)
    assert sorted(again.table()["pause"]) == [0.0, 0.0, 0.05]  # another setting is another run
    quietly(slow, grid(tmp_path, [1, 2], 0.05), store=store)
    assert did(tmp_path) == {"1": 2, "2": 2}
    resumed = study.runs()[-2]
    assert [row["step"] for row in resumed.rows()] == list(range(1, 21))
    assert resumed.status.fence == 2


@pytest.mark.slow
def test_a_report_that_raises_stops_the_jobs(tmp_path: Path, store: Store) -> None:
    began = time.monotonic()

    def report(done: int, total: int, note: str = "", preview: Any = None) -> None:
        if pid_in(tmp_path / "1.pid"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        quietly(slow, grid(tmp_path, [1], 5.0), store=store, report=report, grace=0.5)
    assert time.monotonic() - began < 20
    assert ended(pid_in(tmp_path / "1.pid"))
    (row,) = Study("slow", store).table().to_dict("records")
    assert row["state"] == "stopped" and "did not report" in row["error"]


def test_a_killed_process_is_replaced_and_goes_on(tmp_path: Path, store: Store) -> None:
    beside = Beside(slow, grid(tmp_path, [1], 0.05), store=store)
    study = Study("slow", store)
    until(lambda: rows(study) > 5)
    os.kill(pid_in(tmp_path / "1.pid"), signal.SIGKILL)
    beside.join()
    each_once(store, "slow", tmp_path, 1)
    assert list(study.table()["sessions"]) == [2]


def suicidal(settings: Any) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def leaving(settings: Any) -> None:
    """Starts a process that would go on for long."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(settings["file"]).write_text(str(child.pid), encoding="utf-8")


def test_given_up_after_the_retries(tmp_path: Path, store: Store) -> None:
    study = quietly(suicidal, {"a": 1}, store=store, retries=1)
    (row,) = study.table().to_dict("records")
    assert row["state"] == "lost" and row["sessions"] == 2
    assert row["error"].startswith("lost 2 times, the last time because its process was ended by ")
    assert study.progress().lost == 1
    quietly(leaving, {"file": str(tmp_path / "child.pid")}, store=store)
    until(lambda: ended(pid_in(tmp_path / "child.pid")))


DRIVER = """
import signal, sys
from pathlib import Path
from tests.sweeps.noted import quietly, slow
from workbench.runs import Store
from workbench.sweeps import Processes
signal.signal(signal.SIGINT, signal.default_int_handler)  # which `nohup` would leave ignored
folder = Path(sys.argv[1])
grid = {"folder": str(folder), "n": [1, 2, 3, 4], "pause": float(sys.argv[2])}
study = quietly(slow, grid, store=Store(folder / "store"), executor=Processes(2))
print(study.progress())
"""


@pytest.mark.slow
def test_two_studies_of_the_same_runs_do_each_once(tmp_path: Path, store: Store) -> None:
    points = grid(tmp_path, [1, 2, 3], 0.01)
    both = [
        Beside(slow, points, store=store, study=name, executor=Processes(2)) for name in ("a", "b")
    ]
    for beside in both:
        beside.join()
    for name in ("a", "b"):
        each_once(store, name, tmp_path, 3)


def drive(folder: Path, pause: float = 0.05) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DRIVER, str(folder), str(pause)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_driver_takes_its_jobs_along_and_is_gone_on_after(
    tmp_path: Path, store: Store
) -> None:
    study = Study("slow", store)
    with drive(tmp_path) as driver:
        until(lambda: rows(study) > 15)
        driver.kill()
    pids = [pid_in(file) for file in tmp_path.glob("*.pid")]
    until(lambda: all(map(ended, pids)), 5)
    left = rows(study)
    time.sleep(1.0)
    assert rows(study) == left < 80 and not study.progress().driven
    with drive(tmp_path) as driver:
        out, _ = driver.communicate(timeout=60)
    assert out == "4 of 4 finished\n"
    each_once(store, "slow", tmp_path, 4)


@pytest.mark.slow
@pytest.mark.long
def test_an_interrupted_driver_stops_its_jobs(tmp_path: Path, store: Store) -> None:
    study = Study("slow", store)
    with drive(tmp_path, pause=0.5) as driver:
        until(lambda: rows(study) > 5)
        driver.send_signal(signal.SIGINT)
        out, _ = driver.communicate(timeout=30)
    assert driver.returncode not in (0, None), out
    assert all(map(ended, map(pid_in, tmp_path.glob("*.pid"))))
    assert set(study.table()["state"]) == {"stopped", "waiting"} and study.wish == "stop"
