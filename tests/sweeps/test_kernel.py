"""A sweep of a notebook's cell in a real kernel that is killed, and another that goes on."""

import inspect
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.sweeps.cluster import cluster, environment
from tests.sweeps.noted import did, each_once, note, quiet_afterwards, slow, until
from workbench.runs import Store
from workbench.sweeps import Study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RUNS = 8
TRAIN = "\n\n".join([
    "import os, time\nfrom pathlib import Path\nfrom typing import Any",
    inspect.getsource(note), inspect.getsource(slow),
])  # fmt: skip
SWEEP = """
from workbench.progress import silent
from workbench.runs import Store
from workbench.sweeps import sweep

def begin():
    grid = {{"folder": {folder!r}, "n": list(range(1, {runs} + 1)), "pause": 0.05}}
    sweep(slow, grid, store=Store({folder!r} + "/store"), report=silent)
"""
OVER_DASK = """
from distributed import Client
from workbench.progress import silent
from workbench.runs import Store
from workbench.sweeps import sweep

def begin():
    grid = {{"folder": {folder!r}, "n": list(range(1, {runs} + 1)), "pause": 0.05}}
    with Client({address!r}) as client:
        executor = client.get_executor()
        sweep(slow, grid, store=Store({folder!r} + "/store"), executor=executor, report=silent)
"""
OPEN = """
from workbench.labs.scaling.sweep_view import SweepView
from workbench.panels.settings import accepted, start
from workbench.sweeps import Study

view = SweepView(Study("slow", {folder!r} + "/store"))
values = accepted(view, start(view, view.presets[0].values))

def told(picture):
    figures = picture.contents["figures"]
    runs = [row[1].text for row in picture.contents["runs"].rows]
    return [figures.figures[0].value, "No process" not in figures.subtitle, runs]
"""
GO_ON = """
import json, threading, time
found = [told(view.predict(values))]
threading.Thread(target=begin).start()
while not view.studies["slow"].progress().driven:
    time.sleep(0.05)
found += [told(picture) for picture in view.run(values, silent)]
print(json.dumps(found))
"""


class Notebook:
    """A kernel, and cells that are run in it."""

    def __init__(self, manager: KernelManager) -> None:
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, cell: str, timeout: float = 120) -> str:
        """What a cell prints; an error fails the test."""
        printed: list[str] = []

        def heed(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(cell, output_hook=heed, timeout=timeout)
        content = reply["content"]
        assert content["status"] == "ok", "\n".join(content.get("traceback", ()))
        return "".join(printed)


@contextmanager
def kernel(folder: Path, name: str) -> Iterator[tuple[Notebook, int]]:
    """A new kernel as a notebook has it, and the number of its process."""
    manager = KernelManager(connection_file=str(folder / f"{name}.json"))
    places = {"IPYTHONDIR": str(folder / "ipython"), "WORKBENCH_HOME": str(folder / "home")}
    manager.start_kernel(env={**environment(), **places}, cwd=str(folder))
    notebook = Notebook(manager)
    try:
        assert manager.provisioner is not None
        yield notebook, int(manager.provisioner.pid)
    finally:
        notebook.client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_kernel(tmp_path: Path) -> None:
    study = Study("slow", Store(tmp_path / "store"))
    given = {"folder": str(tmp_path), "runs": RUNS}
    with kernel(tmp_path, "first") as (notebook, pid):
        notebook.run(TRAIN)
        notebook.run(SWEEP.format(**given))
        notebook.client.execute("begin()")
        until(lambda: len(did(tmp_path)) >= 2 and study.progress().running, 90)
        os.kill(pid, signal.SIGKILL)
    quiet_afterwards(tmp_path)
    before = study.progress()
    assert 2 <= before.finished < RUNS and before.running == 0 and not before.driven
    with kernel(tmp_path, "second") as (notebook, _):
        for cell in (TRAIN, SWEEP.format(**given), OPEN.format(**given)):
            notebook.run(cell)
        opened, *live = json.loads(notebook.run(GO_ON))
    assert opened[:2] == [f"{before.finished} of {RUNS}", False]
    assert opened[2].count("finished") == before.finished
    counts = [int(value.split()[0]) for value, _, _ in live]
    assert live[0][1] and counts == sorted(counts) and counts[0] < counts[-1] == RUNS
    assert live[-1][2] == ["finished"] * RUNS
    each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_kernel_over_two_dask_workers(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    study = Study("slow", Store(tmp_path / "store"))
    with cluster(tmp_path) as parts:
        cells = (TRAIN, OVER_DASK.format(folder=str(tmp_path), runs=RUNS, address=parts.address))
        with kernel(tmp_path, "first") as (notebook, pid):
            for cell in cells:
                notebook.run(cell)
            notebook.client.execute("begin()")
            until(lambda: len(did(tmp_path)) >= 2 and study.progress().running == 2, 90)
            os.kill(pid, signal.SIGKILL)
        quiet_afterwards(tmp_path)
        before = study.progress()
        assert 2 <= before.finished < RUNS and before.running == 0 and not before.driven
        kept = did(tmp_path)
        assert all(worker.poll() is None for worker in parts.workers), "the workers live on"
        with kernel(tmp_path, "second") as (notebook, _):
            for cell in (*cells, "begin()"):
                notebook.run(cell)
            each_once(study.store, "slow", tmp_path, RUNS)
        assert kept <= did(tmp_path)
        quiet_afterwards(tmp_path)
