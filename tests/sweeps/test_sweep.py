"""Sweeps on this machine: kept once, together, failed, NaN, and any executor."""

import math
import os
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.noted import did, note, quietly
from workbench.runs import Busy, Store
from workbench.sweeps import ExecutorLost, Processes, Study, studies

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def square(settings: Any) -> dict[str, float]:
    note(settings["folder"], str(settings["n"]))
    return {"square": settings["n"] ** 2, "n_again": settings["n"]}


def test_every_point_is_a_run_and_done_once(tmp_path: Path, store: Store) -> None:
    grid = {"folder": str(tmp_path), "n": [1, 2, 3], "seed": 4}
    seen: list[tuple[int, int]] = []
    with Processes(2) as executor:
        study = quietly(
            square, grid, store=store, executor=executor,
            report=lambda done, total, note="": seen.append((done, total)),
        )  # fmt: skip
        assert study.name == "square" and seen[-1] == (3, 3)
        table = study.table()
        assert list(table["square"]) == [1, 4, 9] and set(table["state"]) == {"finished"}
        assert list(table.columns[:2]) == ["run", "state"] and set(table["sessions"]) == {1}
        assert did(tmp_path) == {"1": 1, "2": 1, "3": 1}
        wider = {**grid, "n": [3, 4]}
        again = quietly(square, wider, store=store, executor=executor)
        assert did(tmp_path) == {"1": 1, "2": 1, "3": 1, "4": 1}
        assert sorted(again.table()["n"]) == [1, 2, 3, 4]
        quietly(square, {**grid, "n": [1]}, store=store, executor=executor, resume=False)
    assert did(tmp_path) == {"1": 2, "2": 1, "3": 1, "4": 1}
    assert {run.config["settings"]["seed"] for run in study.runs()} == {4}
    assert [one.name for one in studies(store)] == ["square"]
    assert str(study.progress()) == "4 of 4 finished"


CELL = """
import functools
SCALE = 3
@functools.cache
def scaled(x):
    return SCALE * x
class Twice:
    def __call__(self, x):
        return 2 * x
def train(settings, job):
    print("said in the cell")
    job.log(step=1, loss=Twice()(settings["x"]))
    return {"y": scaled(settings["x"]), "process": __import__("os").getpid()}
"""


def test_a_function_of_a_cell_takes_along_what_it_names(store: Store) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(CELL, space)
    study = quietly(space["train"], {"x": [5]}, store=store)
    (row,) = study.table().to_dict("records")
    assert row["y"] == 15 and row["process"] != os.getpid()
    assert list(study.curves()["loss"]) == [10]
    (output,) = (study.folder / "output").iterdir()
    assert "said in the cell" in output.read_text(encoding="utf-8")
    exec(CELL.replace("SCALE = 3", "SCALE = 4"), space)
    changed = quietly(space["train"], {"x": [5]}, store=store)
    assert list(changed.table()["y"]) == [20]  # another function, so another run


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"{CELL}\nfrom workbench.sweeps import sweep\nfrom workbench.progress import silent\n"
        "from workbench.runs import Store\n"
        "print('once')\n"
        "print(sweep(train, {'x': [1]}, store=Store('store'), report=silent).table()['y'][0])\n",
        encoding="utf-8",
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert answer.stdout == "once\n3\n", answer.stderr


def batch(points: Any, job: Any) -> list[dict[str, float]]:
    note(points[0]["folder"], "-".join(str(one["seed"]) for one in points))
    for step in (1, 2):
        job.log(step=step, loss=[one["seed"] / step for one in points], width=points[0]["width"])
    return [{"sum": one["seed"] + one["width"], "of": len(points)} for one in points]


def test_points_together_are_one_job_and_runs_of_their_own(tmp_path: Path, store: Store) -> None:
    grid = {"folder": str(tmp_path), "width": [10, 20], "seed": [0, 1, 2]}
    quietly(batch, {**grid, "width": 10, "seed": [1]}, store=store, together="seed")
    study = quietly(batch, grid, store=store, together="seed")
    table = study.table()
    assert list(table["sum"]) == [10, 11, 12, 20, 21, 22]
    assert list(table["of"]) == [2, 1, 2, 3, 3, 3]
    assert did(tmp_path) == {"1": 1, "0-2": 1, "0-1-2": 1}
    curves = study.curves(["loss"])
    assert list(curves["loss"][curves["seed"] == 2]) == [2.0, 1.0, 2.0, 1.0]


def difficult(settings: Any) -> Any:
    kind = settings["kind"]
    if kind == "raises" and not Path(settings["mended"]).exists():
        raise ArithmeticError("no luck")
    if kind == "text":
        return "a text"
    return {"loss": math.nan, "rate": math.inf} if kind == "nan" else {"loss": 1.0}


def test_failed_is_noted_and_nan_is_a_result(tmp_path: Path, store: Store) -> None:
    mended = tmp_path / "mended"
    grid = {"mended": str(mended), "kind": ["raises", "nan", "text", "well"]}
    study = quietly(difficult, grid, store=store)
    table = study.table().set_index("kind")
    assert list(table["state"]) == ["failed", "finished", "failed", "finished"]
    assert table["error"]["raises"] == "ArithmeticError: no luck"
    assert "returned a str; give a dict of numbers" in table["error"]["text"]
    assert math.isnan(table["loss"]["nan"]) and table["rate"]["nan"] == math.inf
    assert set(table["sessions"]) == {1}  # what a function raised is not tried again
    assert "failed" in repr(study) and "no luck" in study._repr_html_()
    mended.touch()
    again = quietly(difficult, grid, store=store).table().set_index("kind")
    assert again["state"]["raises"] == "finished" and again["sessions"]["raises"] == 2
    assert again["sessions"]["well"] == 1


class Refusing(Executor):
    def __init__(self) -> None:
        self.taken = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.taken:
            raise RuntimeError("closed")
        self.taken += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.slow
def test_any_executor(tmp_path: Path, store: Store) -> None:
    grid = {"folder": str(tmp_path), "n": [1, 2]}
    with ThreadPoolExecutor(2) as threads:
        assert quietly(square, grid, store=store, executor=threads).progress().finished == 2
    with pytest.raises(ExecutorLost, match=r"RuntimeError: closed.*call sweep again"):
        quietly(square, {**grid, "n": [3, 4]}, store=store, executor=Refusing())
    assert did(tmp_path) == {"1": 1, "2": 1, "3": 1}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        study = quietly(square, {**grid, "n": [3, 4]}, store=store, executor=pool)
    assert did(tmp_path) == {"1": 1, "2": 1, "3": 1, "4": 1}
    assert study.progress().finished == 4


def test_one_process_drives_a_study(tmp_path: Path, store: Store) -> None:
    from workbench.sweeps.owner import ownership

    study = Study("mine", store)
    study.folder.mkdir(parents=True)
    lease = ownership(study.folder)
    lease.take()
    with pytest.raises(Busy, match="mine: being written by process"):
        quietly(square, {"folder": str(tmp_path), "n": [1]}, store=store, study="mine")
    lease.give_back()
    quietly(square, {"folder": str(tmp_path), "n": [1]}, store=store, study="mine")


def one_argument_too_many(settings: Any, job: Any, more: Any) -> None: ...


def test_what_cannot_be_swept_is_said_before_anything_runs(store: Store) -> None:
    lock = threading.Lock()

    def locked(settings: Any) -> None:
        lock.acquire()

    def large(settings: Any, data: Any = bytes(101_000_000)) -> None: ...

    for train, error, words in [
        (3, TypeError, "train is a int"),
        (one_argument_too_many, TypeError, "is called as one_argument_too_many"),
        (locked, TypeError, "cannot be sent to another process"),
        (large, ValueError, "is 101 MB with the values it names"),
    ]:
        with pytest.raises(error, match=words):
            quietly(train, {"a": 1}, store=store)
    with pytest.raises(ValueError, match="study is '../x'; give a name"):
        quietly(square, {"a": 1}, study="../x", store=store)
    with pytest.raises(TypeError, match="seed is 1.5; give an integer"):
        quietly(square, {"seed": 1.5}, store=store)
    with pytest.raises(ValueError, match="cost: is -1.0"):
        quietly(square, {"a": 1}, cost=lambda settings: -1, store=store)
    assert not (store.folder / "runs").exists()
