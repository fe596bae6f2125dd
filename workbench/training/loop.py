"""The one training loop, for every field."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from workbench.progress import Bar, Report, Throttled
from workbench.training.mesh import parts_weights, placement, replicate, split_batch
from workbench.training.recipe import Recipe
from workbench.training.state import FAULT, State, initial_state, make_update
from workbench.training.task import PyTree, Task, drawing_as

if TYPE_CHECKING:
    import pandas as pd

    from workbench.runs import Run, Store
    from workbench.training.kept import Kept

# Updates the host may be ahead of the device: enough that the device never waits for Python, few
# enough that progress is true and a stop is quick.
IN_FLIGHT = 8


class NotANumber(FloatingPointError):
    """The loss or its gradient stopped being finite.

    Attributes:
        step: the first update where it happened.
        last_good: the newest checkpoint before it, or None.
    """

    def __init__(self, what: str, step: int, last_good: int | None) -> None:
        good = "none" if last_good is None else f"step {last_good}"
        super().__init__(f"{what} is not a number at step {step}. Last good checkpoint: {good}")
        self.step = step
        self.last_good = last_good


@dataclass(frozen=True)
class Result:
    """A finished training run.

    Attributes:
        params: last weights.
        ema: averaged weights, or None.
        history: a row for every `log_every` updates: step, loss, gradient_norm, learning_rate, the
            task's metrics, and `evaluation.*` on the rows where `evaluate` ran.
        evaluation: what the task's `evaluate` said of the final (averaged) weights.
        steps: updates done in all.
        seconds: wall time from after each session's first update to its last: updates, reading
            batches, evaluations between them and waits for checkpoints; neither compilation nor
            the last evaluation. Earlier sessions count up to the checkpoint that was gone on from.
        compile_seconds: wall time of this session's first update, compilation included.
        resumed_from: step at which this session began; equal to `steps` when nothing was left to
            do.
        run: the folder of the run, where there is one.
    """

    params: PyTree
    ema: PyTree
    history: pd.DataFrame
    evaluation: dict[str, float]
    steps: int
    seconds: float
    compile_seconds: float
    resumed_from: int
    run: Run | None = None

    @property
    def weights(self) -> PyTree:
        """The averaged weights where there are some, otherwise the last ones."""
        return self.params if self.ema is None else self.ema


def train(
    task: Task,
    recipe: Recipe,
    *,
    report: Report | None = None,
    folder: str | Path | None = None,
    store: Store | None = None,
    mesh: Mesh | None = None,
    resume: bool = True,
    title: str = "training",
) -> Result:
    """Trains `task` as `recipe` says, and goes on where an interrupted run stopped.

    With a store or a folder the run is kept: done once, it is read back the next time; broken off,
    it continues from its last checkpoint, and 10 + 10 updates give the bits of 20. With neither,
    nothing is written.

    Args:
        task: weights, loss and batches.
        recipe: length, optimiser, schedule, averaging.
        report: called with (done, total, note); what it raises stops the run and is passed on, with
            the work so far saved. None draws a bar in terminal or notebook.
        folder: folder of this one run.
        store: a store of runs; the run's folder is named by the identity of recipe and task.
        mesh: devices to split each batch over, see `data_mesh`, and weights too, see
            `sharded_mesh`.
        resume: False starts from the first step whatever is saved.
        title: name on the bar.

    Raises:
        NotANumber: loss or gradient was not finite; the last good checkpoint is kept.
        ValueError: `folder` holds a run of another recipe or task, or both places are given, or
            one where the job has several processes, which cannot keep a run yet.
    """
    if folder is not None and store is not None:
        raise ValueError("train: give folder or store, not both")
    task = drawing_as(task, recipe)
    bar = Bar(title) if report is None else None
    shown = Throttled(report if bar is None else bar)  # type: ignore[arg-type]
    try:
        if folder is None and store is None:
            return Session(task, recipe, shown, mesh).run()
        if jax.process_count() > 1:
            raise ValueError(
                "train: a run is kept by one process alone, and this job has "
                f"{jax.process_count()}; give neither folder nor store"
            )
        from workbench.training.kept import train_kept

        return train_kept(task, recipe, shown, folder, store, mesh, resume)
    finally:
        if bar is not None:
            bar.close()


class Session:
    """One stretch of updates in one process, from the first step or from a checkpoint.

    Args:
        kept: where rows and checkpoints go; None keeps them nowhere.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        report: Report,
        mesh: Mesh | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.task = task
        self.recipe = recipe
        self.report = report
        self.mesh = mesh
        self.kept = kept
        self.rows: list[dict[str, float]] = []
        self.note = ""

    def first_state(self) -> State:
        """The state before the first update, on the devices it will live on."""
        if self.mesh is not None and (parts_weights(self.mesh) or jax.process_count() > 1):
            # Made where they will live: no device holds all, no process sends to another's.
            first = partial(initial_state, self.task, self.recipe)
            places = placement(jax.eval_shape(first), self.mesh)
            return jax.jit(first, out_shardings=places)()
        state = initial_state(self.task, self.recipe)
        return state if self.mesh is None else replicate(state, self.mesh)

    def run(self) -> Result:
        """All updates that are left, and the evaluation of what came out."""
        state = self.first_state()
        seconds_before = 0.0
        if self.kept is not None:
            state, self.rows, seconds_before = self.kept.restore(state)
        start = int(state.step)
        update = self._compiled(state)
        state, seconds, compile_seconds = self._updates(update, state, start, seconds_before)
        import pandas as pd

        return Result(
            params=state.params,
            ema=state.ema,
            history=pd.DataFrame(self.rows),
            evaluation=self._evaluation(state),
            steps=int(state.step),
            seconds=seconds_before + seconds,
            compile_seconds=compile_seconds,
            resumed_from=start,
        )

    def _compiled(self, state: State) -> Callable[[State, PyTree], tuple[State, dict[str, Any]]]:
        update = make_update(self.task, self.recipe)
        if not parts_weights(self.mesh):
            return jax.jit(update, donate_argnums=0)
        places = jax.tree.map(lambda leaf: leaf.sharding, state)
        return jax.jit(update, donate_argnums=0, out_shardings=(places, None))

    def _updates(
        self,
        update: Callable[[State, PyTree], tuple[State, dict[str, Any]]],
        state: State,
        start: int,
        seconds_before: float,
    ) -> tuple[State, float, float]:
        recipe, total = self.recipe, self.recipe.steps
        in_flight: deque[tuple[int, dict[str, Any]]] = deque()
        compile_seconds = 0.0
        began = time.perf_counter()
        for done in range(start + 1, total + 1):
            state, logged = update(state, self._batch(done - 1))
            in_flight.append((done, logged))
            if done == start + 1:
                jax.block_until_ready(logged)
                compile_seconds = time.perf_counter() - began
                began = time.perf_counter()
            evaluates = recipe.evaluate_every and done % recipe.evaluate_every == 0
            saves = self.kept is not None and (done % recipe.checkpoint_every == 0 or done == total)
            pauses = evaluates or saves or done == total
            self._land(in_flight, 0 if pauses else IN_FLIGHT)
            if pauses:
                self._check(int(state.fault))
            if evaluates and done < total:
                self._add_row(done, self._evaluation(state), "evaluation.")
            if saves and self.kept is not None:
                self.kept.save(state, seconds_before + time.perf_counter() - began)
            try:
                self.report(done - len(in_flight), total, self.note)
            except BaseException:
                self._stopped(state, in_flight, seconds_before + time.perf_counter() - began)
                raise
        return state, time.perf_counter() - began, compile_seconds

    def _batch(self, step: int) -> PyTree:
        batch = self.task.batch(step)
        return batch if self.mesh is None else split_batch(batch, self.mesh)

    def _land(self, in_flight: deque[tuple[int, dict[str, Any]]], left: int) -> None:
        """Waits until at most `left` updates are under way; reads the scalars of logged ones."""
        while len(in_flight) > left:
            step, logged = in_flight.popleft()
            logged["loss"].block_until_ready()
            if step % self.recipe.log_every and step != self.recipe.steps:
                continue
            values = jax.device_get(logged)
            self._check(int(values.pop(FAULT)))
            self._add_row(step, {name: float(value) for name, value in values.items()})
            self.note = f"loss {values['loss']:.4g}"

    def _add_row(self, step: int, values: dict[str, float], prefix: str = "") -> None:
        row = {"step": step, **{prefix + name: value for name, value in values.items()}}
        if self.rows and self.rows[-1]["step"] == step:
            row = {**self.rows.pop(), **row}
        self.rows.append(row)
        if self.kept is not None:
            self.kept.log(row)

    def _check(self, fault: int) -> None:
        if fault:
            last_good = None if self.kept is None else self.kept.last_good()
            raise NotANumber("Loss" if fault > 0 else "Gradient", abs(fault), last_good)

    def _stopped(self, state: State, in_flight: deque[Any], seconds: float) -> None:
        """Saves the work so far when the caller stopped the run between two updates."""
        if self.kept is None:
            return
        self._land(in_flight, 0)
        if int(state.fault) == 0:
            self.kept.save(state, seconds)

    def _evaluation(self, state: State) -> dict[str, float]:
        evaluate = getattr(self.task, "evaluate", None)
        if evaluate is None:
            return {}
        weights = state.params if state.ema is None else state.ema
        if jax.process_count() > 1:  # each process evaluates a copy of its own
            weights = multihost_utils.process_allgather(weights, tiled=True)
        values = evaluate(weights)
        return {name: float(value) for name, value in values.items()}


def with_run(result: Result, run: Run) -> Result:
    """The same result, naming the folder it is kept in."""
    return replace(result, run=run)
