"""What a study tells from its files: time left, names of columns; and errors, each named."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.runs import Store
from workbench.sweeps import Progress, Study
from workbench.sweeps.identity import identity_of
from workbench.sweeps.processes import Slot, slots_here
from workbench.sweeps.progressing import duration, seconds_left
from workbench.sweeps.results import results_of
from workbench.sweeps.travelling import takes_job


def record(
    state: str, job: int, seconds: float = 0.0, share: float = 0.0, cost: float = 1.0
) -> Any:
    return {"state": state, "job": job, "seconds": seconds, "share": share, "cost": cost}


def test_time_left_follows_pace_cost_and_jobs_at_once() -> None:
    assert seconds_left([record("waiting", 0)]) is None
    done = [record("finished", 0, 10.0), record("finished", 1, 20.0, cost=2.0)]
    assert seconds_left([*done, record("waiting", 2, cost=3.0)]) == 30.0
    running = [record("running", 2, 5.0, 0.5), record("running", 3, 4.0)]
    # 5 s and 6 s of those that run, 20 s of what waits, two at once.
    assert seconds_left([*done, *running, record("waiting", 4, cost=2.0)]) == 15.5
    assert seconds_left([record("running", 0, 30.0, 0.25), record("waiting", 1)]) == 210.0
    together = [record("running", 0, 5.0, 0.5), record("running", 0, 5.0, 0.5)]
    assert seconds_left([*done, *together]) == 10.0


def test_progress_in_words() -> None:
    progress = Progress(finished=3, running=1, waiting=2, failed=1, seconds_left=200.0, driven=True)
    assert progress.total == 7 and progress.ended == 4
    assert str(progress) == "3 of 7 finished, 1 running, 2 waiting, 1 failed; about 3 min left"
    assert [duration(s) for s in (40, 5400, 200000)] == ["40 s", "1.5 h", "2.3 d"]


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    study = Study("none", Store(tmp_path))
    assert study.progress().total == 0 and study.table().empty and study.curves().empty
    with pytest.raises(FileNotFoundError, match="study 'none': there is none in"):
        study.pause()


def test_a_result_named_like_a_setting_keeps_both(tmp_path: Path) -> None:
    from workbench.runs.disk import write_json

    store = Store(tmp_path)
    run = store.run(identity_of({"steps": 5, "seconds": 1}, "v"))
    with run.writing() as writer:
        writer.log(step=1, steps=0, loss=math.nan)
        writer.finish({"steps": 4, "error": 0.5, "loss": math.nan})
    study = Study("names", store)
    plan = {"id": run.id, "settings": {"steps": 5, "seconds": 1}, "job": 0, "cost": 1, "fence": 0}
    study.folder.mkdir(parents=True)
    write_json(study.folder / "study.json", {"version": "v", "runs": [plan]})
    (row,) = study.table().to_dict("records")
    assert (row["steps"], row["result.steps"]) == (5, 4)
    assert (row["config.seconds"], row["result.error"], row["error"]) == (1, 0.5, "")
    assert math.isnan(row["loss"])
    (point,) = study.curves().to_dict("records")
    assert (point["steps"], point["result.steps"]) == (5, 0) and math.isnan(point["loss"])


def test_results_are_numbers() -> None:
    assert results_of(None, 1, False) == [{}]
    given = {"a": np.float32(0.5), "b": np.array(3), "c": True, "d": "text"}
    assert results_of(given, 1, False) == [{"a": 0.5, "b": 3, "c": True, "d": "text"}]
    assert results_of([{"a": 1}, None], 2, True) == [{"a": 1}, {}]
    for answer, together, words in [
        ([1], False, "returned a list; give a dict of numbers"),
        ({"a": np.ones(2)}, False, r"returned a = a ndarray of shape \(2,\)"),
        ({"a": 1}, True, "returned a dict; for 2 settings together"),
        ([{}], True, "returned 1 results for 2 settings"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            results_of(answer, 2, together)


def test_how_a_function_is_called() -> None:
    assert takes_job(lambda settings, job: None)
    assert takes_job(lambda settings, job=None: None)
    assert not takes_job(lambda settings: None)
    assert not takes_job(lambda settings, steps=3: None)


def test_slots_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(5)), raising=False)
    assert [list(slot.cores) for slot in slots_here()] == [[0, 1], [2, 3, 4]]
    assert slots_here(6) == [Slot()] * 6
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    monkeypatch.setattr("workbench.sweeps.processes.find_spec", lambda name: True)
    boards = [dict(slot.environment) for slot in slots_here()]
    assert [board["CUDA_VISIBLE_DEVICES"] for board in boards] == ["2", "5"]
    assert {board["XLA_PYTHON_CLIENT_PREALLOCATE"] for board in boards} == {"false"}
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    assert slots_here() == [Slot()]
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert len(slots_here()) == 2
