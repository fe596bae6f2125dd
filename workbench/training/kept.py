"""Training runs that are kept: done once, resumed where they broke off."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from workbench.progress import Report
from workbench.runs import AlreadyFinished, Identity, Run, Store, Writer, fingerprint
from workbench.training.checkpoint import Checkpoints
from workbench.training.loop import Result, Session, with_run
from workbench.training.recipe import Recipe
from workbench.training.state import State
from workbench.training.task import Task


class Kept:
    """Rows and checkpoints of one session, written under the run's lease.

    Args:
        writer: the right to write.
        resume: False forgets what earlier sessions saved.
    """

    def __init__(self, writer: Writer, resume: bool) -> None:
        self.writer = writer
        self.resume = resume
        self.checkpoints = Checkpoints(
            writer.run.checkpoints, guard=writer.held, owner=str(writer.fence)
        )

    def restore(self, state: State) -> tuple[State, list[dict[str, float]], float]:
        """The state to go on from, the rows up to it, and the seconds it took."""
        with self.writer.held():
            if not self.resume:
                shutil.rmtree(self.checkpoints.folder, ignore_errors=True)
            self.checkpoints.remove_leftovers()
        saved = bool(self.checkpoints.steps())
        if saved:
            state = self.checkpoints.restore(state)
        self.writer.rewind(int(state.step) if saved else -1)
        seconds = self.writer.run.status.seconds if saved else 0.0
        return state, self.writer.run.rows(), seconds

    def log(self, row: dict[str, float]) -> None:
        """Adds a row to the run's metrics."""
        self.writer.log(**row)  # type: ignore[arg-type]

    def save(self, state: State, seconds: float) -> None:
        """Starts a checkpoint, and notes how far the run is."""
        self.checkpoints.save(state)
        self.writer.progress(step=int(state.step), seconds=seconds)

    def last_good(self) -> int | None:
        """Step of the newest complete checkpoint."""
        self.checkpoints.wait()
        steps = self.checkpoints.steps()
        return steps[-1] if steps else None


def train_kept(
    task: Task,
    recipe: Recipe,
    report: Report,
    folder: str | Path | None,
    store: Store | None,
    mesh: Mesh | None,
    resume: bool,
) -> Result:
    """`train`, in a run folder: read back where finished, resumed where not.

    Where another process trains the same run now, waits for it and reads.
    """
    identity = Identity(
        config=recipe.identity(),
        subject=fingerprint(task),
        version=recipe.version,
        seed=recipe.seed,
    )
    run = store.run(identity) if store is not None else Run(Path(str(folder)), identity)
    run.check_same()
    jax.devices()  # so that the run's provenance can name them
    # A finished run whose checkpoints were cleared away has no weights to give: it is done again.
    cleared = run.status.state == "finished" and not Checkpoints(run.checkpoints).steps()
    again = cleared or not resume
    try:
        with run.writing(wait=None, again=again) as writer:
            kept = Kept(writer, resume)
            try:
                result = Session(task, recipe, report, mesh, kept).run()
            finally:
                kept.checkpoints.close()
            writer.progress(step=result.steps, seconds=result.seconds)
            writer.finish(_summary(result))
            return with_run(result, run)
    except AlreadyFinished:
        return _read_back(task, recipe, report, mesh, run)


def _summary(result: Result) -> dict[str, Any]:
    last = result.history.iloc[-1]
    return {
        "steps": result.steps,
        "loss": float(last["loss"]),
        "seconds": result.seconds,
        "compile_seconds": result.compile_seconds,
        **{f"evaluation.{name}": value for name, value in result.evaluation.items()},
    }


def _read_back(task: Task, recipe: Recipe, report: Report, mesh: Mesh | None, run: Run) -> Result:
    import pandas as pd

    checkpoints = Checkpoints(run.checkpoints)
    try:
        state = checkpoints.restore(Session(task, recipe, report, mesh).first_state())
    finally:
        checkpoints.close()
    status = run.status
    prefix = "evaluation."
    evaluation = {
        name.removeprefix(prefix): math.nan if value == "NaN" else value
        for name, value in status.result.items()
        if name.startswith(prefix)
    }
    report(recipe.steps, recipe.steps, "already finished")
    return Result(
        params=state.params,
        ema=state.ema,
        history=pd.DataFrame(run.rows()),
        evaluation=evaluation,
        steps=int(state.step),
        seconds=status.seconds,
        compile_seconds=status.result.get("compile_seconds", 0.0),
        resumed_from=int(state.step),
        run=run,
    )
