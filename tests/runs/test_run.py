"""A run folder: one writer, fenced; states; rows that survive a torn line."""

import json
import os
import threading
from pathlib import Path

import pytest

import workbench.runs.lease as lease_module
from workbench.runs import AlreadyFinished, Busy, Identity, LeaseLost, Run, Store

WHAT = Identity({"rate": 0.1, "name": "x"}, subject="s", seed=3)


class Cancelled(Exception):
    pass


def test_states_from_new_to_finished(tmp_path: Path) -> None:
    run = Store(tmp_path).run(WHAT)
    assert run.status.state == "new" and not run.folder.exists()
    with pytest.raises(ZeroDivisionError), run.writing() as writer:
        assert run.status.state == "running"
        writer.log(step=1, loss=2.0)
        _ = 1 / 0
    assert run.status.state == "failed" and "ZeroDivisionError" in run.status.error
    with pytest.raises(Cancelled), run.writing() as writer:
        writer.progress(step=5, seconds=1.5)
        raise Cancelled
    assert (run.status.state, run.status.step, run.status.seconds) == ("stopped", 5, 1.5)
    with run.writing() as writer:
        writer.log(step=2, loss=float("nan"))
        writer.finish({"loss": 1.0})
    status = run.status
    assert status.state == "finished" and status.result == {"loss": 1.0} and status.fence == 3
    with pytest.raises(AlreadyFinished), run.writing():
        raise AssertionError("written again")
    rows = Store(tmp_path).run(WHAT).metrics()
    assert list(rows["step"]) == [1, 2] and rows["loss"].isna().tolist() == [False, True]
    assert len(run.provenance()) == 3 and "numpy" in run.provenance()[0]["packages"]
    assert run.config["settings"] == {"rate": 0.1, "name": "x", "seed": 3}


def test_second_writer_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "r")
    with (
        run.writing(),
        pytest.raises(Busy, match=f"process {os.getpid()}"),
        Run(tmp_path / "r").writing(),
    ):
        raise AssertionError("two writers")
    with run.writing():
        pass


def test_a_writer_that_fell_silent_is_fenced_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = threading.Event()
    monkeypatch.setattr(lease_module.Lease, "_beat", lambda self: asleep.wait(0))
    old = Run(tmp_path / "r", WHAT).writing(lease_seconds=0.2)
    sleeper = old.__enter__()
    sleeper.log(step=1, who="old")
    with Run(tmp_path / "r", WHAT).writing(wait=5, lease_seconds=0.2) as writer:
        assert writer.fence == sleeper.fence + 1
        writer.log(step=2, who="new")
        for write in (
            lambda: sleeper.log(step=3, who="old"),
            lambda: sleeper.progress(step=3),
            lambda: sleeper.rewind(0),
            lambda: sleeper.finish({"who": "old"}),
        ):
            with pytest.raises(LeaseLost, match="taken over"):
                write()
        with pytest.raises(LeaseLost):
            old.__exit__(None, None, None)
        writer.log(step=4, who="new")  # the fenced one's leaving did not take the lease away
        writer.finish({"who": "new"})
    run = Run(tmp_path / "r")
    assert run.status.result == {"who": "new"}
    assert [row["step"] for row in run.rows()] == [1, 2, 4]


def test_the_heartbeat_keeps_a_long_writer_in_and_tells_of_a_loss(tmp_path: Path) -> None:
    lost = threading.Event()
    run = Run(tmp_path / "r")
    with pytest.raises(LeaseLost), run.writing(lease_seconds=0.2, on_lost=lost.set) as writer:
        with pytest.raises(Busy), run.writing(wait=0.6, lease_seconds=0.2):
            raise AssertionError("two writers")
        holder = json.loads(writer.lease.file.read_text())
        writer.lease.file.write_text(json.dumps({**holder, "fence": 99, "token": "other"}))
        assert lost.wait(5)
        writer.log(step=1)


def test_a_torn_last_line_is_passed_over_and_then_cut_off(tmp_path: Path) -> None:
    run = Run(tmp_path / "r")
    with run.writing() as writer:
        writer.log(step=1, loss=1.0)
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "lo')
    assert [row["step"] for row in run.rows()] == [1]
    with run.writing() as writer:
        writer.log(step=2, loss=2.0)
    assert [row["loss"] for row in run.rows()] == [1.0, 2.0]
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_rewind_drops_what_will_be_written_again(tmp_path: Path) -> None:
    run = Run(tmp_path / "r")
    with run.writing() as writer:
        for step in range(10):
            writer.log(step=step, loss=float("inf"))
        writer.rewind(4)
        writer.log(step=5, loss=0.0)
    assert [row["step"] for row in run.rows()] == [0, 1, 2, 3, 4, 5]
    assert run.rows()[0]["loss"] == float("inf")


def test_folder_of_another_run_is_refused_and_unharmed(tmp_path: Path) -> None:
    with Run(tmp_path / "r", WHAT).writing() as writer:
        writer.finish()
    other = Run(tmp_path / "r", Identity({"rate": 0.2, "name": "x"}, subject="s", seed=3))
    with pytest.raises(ValueError, match=r"rate is 0.1 there, 0.2 here"):
        other.check_same()
    with pytest.raises(ValueError, match="rate"), other.writing(again=True):
        raise AssertionError("written")
    assert Run(tmp_path / "r").config["settings"]["rate"] == 0.1


def test_once_does_the_work_once(tmp_path: Path) -> None:
    calls = []
    run = Store(tmp_path).run(WHAT)
    for _ in range(3):
        status = run.once(lambda writer: calls.append(writer.fence) or {"n": 1})
    assert status.result == {"n": 1} and calls == [1]


def test_a_copy_of_the_process_is_not_the_writer(tmp_path: Path) -> None:
    run = Run(tmp_path / "r")
    with run.writing() as writer:
        holder = json.loads(writer.lease.file.read_text())
        writer.lease.file.write_text(json.dumps({**holder, "pid": holder["pid"] + 1}))
        with pytest.raises(LeaseLost):
            writer.log(step=1)
        writer.lease.file.write_text(json.dumps(holder))
        writer.log(step=1)
