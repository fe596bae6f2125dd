"""Functions to sweep that write down each time they come to their end, and what tests share."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from workbench.progress import silent
from workbench.runs import Store
from workbench.runs.lease import started
from workbench.sweeps import Study, sweep


def note(folder: str, words: str) -> None:
    """Adds a line of this process's to `did.txt`, in one write."""
    with (Path(folder) / "did.txt").open("a", encoding="utf-8") as file:
        file.write(f"{words} {os.getpid()}\n")


def did(folder: Path) -> Counter[str]:
    """How often each was done to its end."""
    try:
        lines = (folder / "did.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return Counter()
    return Counter(line.split()[0] for line in lines)


def slow(settings: Any, job: Any) -> dict[str, float]:
    """Counts to 20, a step at a time, from where it was; tells its process as it begins."""
    place = job.folder / "count"
    done = int(place.read_text(encoding="utf-8") or 0) if place.exists() else 0
    job.rewind(done)
    (Path(settings["folder"]) / f"{settings['n']}.pid").write_text(str(os.getpid()), "utf-8")
    for step in range(done + 1, 21):
        time.sleep(settings["pause"])
        job.log(step=step, value=step * settings["n"])
        place.write_text(str(step), encoding="utf-8")
        job.report(step, 20)
    note(settings["folder"], str(settings["n"]))
    return {"value": 20 * settings["n"]}


def quietly(*args: Any, **options: Any) -> Study:
    """A sweep without a bar."""
    return sweep(*args, **{"report": silent, **options})


def until(condition: Any, seconds: float = 30.0) -> Any:
    """What a condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def pid_in(file: Path) -> int:
    """The number of the process that wrote it; 0 before it did."""
    try:
        return int(file.read_text(encoding="utf-8") or 0)
    except FileNotFoundError:
        return 0


def ended(pid: int) -> bool:
    """Whether a process is gone."""
    return started(pid) is None


def each_once(store: Store, study: str, folder: Path, number: int) -> None:
    """Every run finished, with all its rows, and its function came to its end once."""
    found = Study(study, store)
    table = found.table()
    assert list(table["state"]) == ["finished"] * number, table.to_string()
    assert did(folder) == {str(n): 1 for n in table["n"]}
    assert list(table["value"]) == [20 * n for n in table["n"]]
    curves = found.curves()
    for _, rows in curves.groupby("run"):
        assert list(rows["step"]) == list(range(1, 21))
        assert list(rows["value"]) == [step * rows["n"].iloc[0] for step in range(1, 21)]


def quiet_afterwards(folder: Path) -> None:
    """No process of a job is left, and nothing is written any more."""
    pids = [pid_in(file) for file in folder.glob("*.pid")]
    until(lambda: all(map(ended, pids)), 40)
    runs = folder / "store" / "runs"
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*.json*")}
    time.sleep(1.5)
    after = {file: file.stat().st_mtime_ns for file in runs.rglob("*.json*")}
    assert {file.name for file in after if after[file] != before.get(file)} <= {"lock"}
