"""Faults: writers killed at any moment, two at once, a full disk, a parent that is gone."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.runs import Identity, Run, Store, StoreFull

ROOT = Path(__file__).parents[2]
BEGIN = """
import os, sys, time
import numpy as np
from workbench.runs import Identity, Store, end_with_parent
store = Store(sys.argv[1])
run = store.run(Identity({"work": "count"}))
"""
COUNT = """
STEPS = int(sys.argv[2])
def work(writer):
    print("started", flush=True)
    here = run.folder / "checkpoints" / "count.json"
    from workbench.runs.disk import read_json, write_json
    done = (read_json(here) or {"done": 0})["done"]
    writer.rewind(done)
    here.parent.mkdir(exist_ok=True)
    for step in range(done + 1, STEPS + 1):
        writer.log(step=step, square=step * step, pad="x" * 200)
        if step % 5 == 0:
            with writer.held():
                write_json(here, {"done": step})
            writer.progress(step=step)
            store.remember(f"key {step % 3}", {"a": np.full(1000, step)}, {"step": step})
            store.add_timing(step=step)
            with open(store.folder / "acknowledged.txt", "a") as file:
                file.write(f"{step}\\n")
    with open(store.folder / "did.txt", "a") as file:
        file.write(f"{os.getpid()}\\n")
    return {"sum": sum(row["square"] for row in run.rows())}
status = run.once(work)
print(status.state, status.result["sum"], flush=True)
"""


def start(code: str, *words: Any) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BEGIN + code, *map(str, words)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_store_survives_kills_at_random_moments(tmp_path: Path) -> None:
    """Every reader finds whole rows, a status and results; and the run comes to its end."""
    draw = random.Random(7)
    store = Store(tmp_path)
    run = store.run(Identity({"work": "count"}))
    steps, deadline, kills, reached = 100_000, time.monotonic() + 20, 0, []
    while kills < 6 and time.monotonic() < deadline:
        with start(COUNT, tmp_path, steps) as process:
            assert process.stdout is not None and process.stdout.readline() == "started\n"
            time.sleep(draw.uniform(0.0, 0.25))
            process.send_signal(signal.SIGKILL)
            process.wait()
        kills += 1
        assert run.status.state == "broken"
        rows = run.rows()
        assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(row["square"] == row["step"] ** 2 for row in rows)
        assert list(store.table()["state"]) == ["broken"]
        for key in range(3):
            found = store.recall(f"key {key}")
            if found is not None:
                assert (found[0]["a"] == found[1]["step"]).all()
        reached.append(run.status.step)
    assert kills >= 3 and reached == sorted(reached) and reached[-1] > reached[0]
    last = reached[-1] + 50
    with start(COUNT, tmp_path, last) as process:
        out, _ = process.communicate(timeout=60)
    wanted = sum(step * step for step in range(1, last + 1))
    assert out == f"started\nfinished {wanted}\n"
    assert run.status.fence == kills + 1
    # A kill may come before a timing is made; one whose call came back is never lost.
    acknowledged = [int(step) for step in (tmp_path / "acknowledged.txt").read_text().split()]
    kept = list(store.timings()["step"])
    assert len(acknowledged) > 5 and not Counter(acknowledged) - Counter(kept)
    assert not list(run.folder.rglob(".writing-*"))


def test_two_writers_one_does_it_and_the_other_reads(tmp_path: Path) -> None:
    processes = [start(COUNT, tmp_path, 300) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    wanted = sum(step * step for step in range(301))
    assert sorted(outputs) == [f"finished {wanted}\n", f"started\nfinished {wanted}\n"]
    assert len((tmp_path / "did.txt").read_text().split()) == 1
    assert Store(tmp_path).runs()[0].status.fence == 1


def test_waiting_writer_takes_over_from_a_killed_one_at_once(tmp_path: Path) -> None:
    with start(COUNT, tmp_path, 10_000_000) as first:
        assert first.stdout is not None and first.stdout.readline() == "started\n"
        with start(COUNT, tmp_path, 10_000_000) as second:
            time.sleep(0.5)
            first.kill()
            first.wait()
            assert second.stdout is not None and second.stdout.readline() == "started\n"
            second.kill()


def test_many_processes_on_one_cache_and_index(tmp_path: Path) -> None:
    code = """
for i in range(10):
    store.remember(f"k{i % 4}", {"a": np.full(2000, i % 4), "b": np.arange(i % 4)}, {"i": i % 4})
    arrays, record = store.recall(f"k{i % 4}")
    assert (arrays["a"] == record["i"]).all() and len(arrays["b"]) == record["i"]
    store.add_timing(i=i, pid=os.getpid())
    with store.run(Identity({"i": i, "pid": os.getpid()})).writing() as writer:
        writer.finish({"i": i})
    assert len(store.table()) > i
print("well")
"""
    processes = [start(code, tmp_path) for _ in range(3)]
    assert [process.communicate(timeout=100)[0] for process in processes] == ["well\n"] * 3
    assert len(Store(tmp_path).timings()) == 30 and len(Store(tmp_path).table()) == 30


def test_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = """
import subprocess
child = BEGIN + "end_with_parent(int(sys.argv[2]), every=0.05)\\n"
child += "with run.writing() as writer:\\n    print(os.getpid(), flush=True)\\n    time.sleep(60)"
subprocess.run([sys.executable, "-c", child, sys.argv[1], str(os.getpid())])
"""
    with start(f"BEGIN = {BEGIN!r}\n{code}", tmp_path) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while _living(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _living(worker)
    assert Store(tmp_path).runs()[0].status.state == "broken"


def _living(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def fill_until_full(store: Store, run: Run) -> None:
    with run.writing() as writer:
        for step in range(1, 100_000):
            writer.log(step=step, pad="x" * 500)
            store.remember(f"k{step}", {"a": np.full(2000, step)}, {"step": step})
            writer.progress(step=step)


def check_nothing_lost(store: Store, run: Run) -> int:
    rows = run.rows()
    last = len(rows)
    assert last > 2 and [row["step"] for row in rows] == list(range(1, last + 1))
    for step in range(1, last - 1):
        found = store.recall(f"k{step}")
        assert found is not None and (found[0]["a"] == step).all()
    assert run.status.state in {"failed", "broken"} and run.status.step >= last - 2
    assert list(store.table()["id"]) == [run.id]
    return last


def test_full_disk_is_said_and_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    store = Store(small_disk / "store")
    run = store.run(Identity({"work": "full"}))
    with pytest.raises(StoreFull, match=r"no room to write .* What was saved before is intact"):
        fill_until_full(store, run)
    last = check_nothing_lost(store, run)
    ballast.unlink()
    with run.writing() as writer:  # at once: the lease was given back without writing anything
        writer.log(step=last + 1, pad="y")
        writer.finish({"n": 1})
    assert run.rows()[-1]["step"] == last + 1 and run.status.state == "finished"


def test_a_file_size_limit_is_said_and_loses_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = store.run(Identity({"work": "full"}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        with pytest.raises(StoreFull, match="metrics.jsonl"):
            fill_until_full(store, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert check_nothing_lost(store, run) > 50
    assert (run.folder / "metrics.jsonl").read_bytes().endswith(b"\n")
