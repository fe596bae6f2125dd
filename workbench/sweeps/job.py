"""What the user's function gets beside its settings: rows, progress, stop and pause, a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.progress import Cancelled, Throttled
from workbench.runs import Run, Store, Writer, digest
from workbench.runs.disk import read_json, write_json
from workbench.runs.provenance import provenance

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from workbench.sweeps.watching import Watch
    from workbench.training import Recipe, Result, Task

NOTE_EVERY = 1.0
"""Seconds between two notes of how far a run is."""


class Job:
    """The job that the function does: one run, or several together.

    Attributes:
        runs: folders of its runs, in the order of their settings.
        store: that they are in.
    """

    def __init__(self, writers: Sequence[Writer], store: Store, watch: Watch) -> None:
        self.runs: list[Run] = [writer.run for writer in writers]
        self.store = store
        self._writers = list(writers)
        self._watch = watch
        self._began = time.time()
        self._before = [run.status.seconds for run in self.runs]
        self._paused = 0.0
        self._step = 0
        self._noted = 0.0
        self._said = {"done": 0, "total": 0, "note": ""}
        self._note()

    @property
    def run(self) -> Run:
        """The run; of several, the first."""
        return self.runs[0]

    @property
    def folder(self) -> Path:
        """A folder for checkpoints of the function's own, the same when the job is resumed."""
        name = "own"
        if len(self.runs) > 1:  # what several runs share serves no other group of runs
            name = f"own-{digest([run.id for run in self.runs])[:12]}"
        place = self.run.checkpoints / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def log(self, *, step: int, **metrics: Any) -> None:
        """Adds a row to the run's curves.

        Args:
            step: a later row of the same step replaces the earlier one.
            **metrics: numbers; of several runs, a sequence with one for each, or one for all.

        Raises:
            ValueError: a sequence with more or fewer numbers than there are runs.
            Cancelled: the study was stopped.
        """
        self._heed()
        self._step = max(self._step, int(step))
        each = [self._spread(name, value) for name, value in metrics.items()]
        for place, writer in enumerate(self._writers):
            values = {
                name: column[place] for name, column in zip(metrics, each, strict=True)
            }  # fmt: skip
            writer.log(step=int(step), **values)

    def rewind(self, step: int) -> None:
        """Drops the rows after `step`, from which the function goes on."""
        for writer in self._writers:
            writer.rewind(step)

    def report(self, done: int, total: int, note: str = "", preview: Any = None) -> None:
        """Says how far the work is; waits here while the study is paused.

        Raises:
            Cancelled: the study was stopped.
        """
        self._said = {"done": int(done), "total": int(total), "note": str(note)}
        self._step = max(self._step, int(done))
        if time.monotonic() - self._noted >= NOTE_EVERY:
            self._note()
        self._heed()

    def train(self, task: Task, recipe: Recipe, *, mesh: Mesh | None = None) -> Result:
        """Trains in this very run: its rows are the run's curves, its checkpoints are resumed from.

        Args:
            task, recipe, mesh: of `workbench.training.train`.

        Raises:
            ValueError: the job has several runs.
        """
        if len(self.runs) > 1:
            raise ValueError(f"job.train: trains one run, and this job has {len(self.runs)}")
        from workbench.training.kept import Kept
        from workbench.training.loop import Session, with_run
        from workbench.training.task import drawing_as

        kept = Kept(self._writers[0], resume=True)
        try:
            task = drawing_as(task, recipe)
            result = Session(task, recipe, Throttled(self.report), mesh, kept).run()
        finally:
            kept.checkpoints.close()
        return with_run(result, self.run)

    def finish(self, results: Sequence[dict[str, Any]]) -> None:
        """Marks every run done, with its result, before anything else: a kill loses no result."""
        for writer, result in zip(self._writers, results, strict=True):
            writer.finish(result)
        self.leave()

    def leave(self) -> None:
        """Notes what is known at the end: step, seconds, devices, and the last report."""
        self._note()
        seconds = (time.time() - self._began - self._paused) / len(self.runs)
        devices = provenance()["devices"]
        for writer, before in zip(self._writers, self._before, strict=True):
            writer.progress(step=self._step, seconds=before + seconds)
            if devices:
                _name_devices(writer, devices)

    def stopped(self) -> None:
        """Marks every run as stopped, for a function that did not heed the wish."""
        for writer in self._writers:
            writer.leave("stopped", "ended while it computed, for it did not report")

    def _heed(self) -> None:
        began = time.time()
        while self._watch.wish == "pause":
            time.sleep(0.05)
        waited = time.time() - began
        if waited > 0.05:
            self._paused += waited
            self._note()
        if self._watch.wish == "stop":
            raise Cancelled("the study was stopped")

    def _note(self) -> None:
        self._noted = time.monotonic()
        record = {"began": self._began, "paused": self._paused, "runs": len(self.runs)}
        for writer in self._writers:
            with writer.held():
                content = {**record, **self._said, "fence": writer.fence}
                write_json(writer.run.folder / "progress.json", content)

    def _spread(self, name: str, value: Any) -> list[Any]:
        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            return [value] * len(self.runs)
        if len(value) != len(self.runs):
            raise ValueError(
                f"log: {name} has {len(value)} values, and the job has {len(self.runs)} runs"
            )
        return list(value)


def _name_devices(writer: Writer, devices: list[str]) -> None:
    """The devices, which are known only once the function has used jax."""
    file = writer.run.folder / "provenance.json"
    with writer.held():
        sessions = (read_json(file) or {}).get("sessions", [])
        if sessions:
            sessions[-1]["devices"] = devices
            write_json(file, {"sessions": sessions})
