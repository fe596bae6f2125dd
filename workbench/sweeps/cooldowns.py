"""Several points of a scaling law from one run: a trunk at constant rate, with a cooldown a point.

A warm-up-stable-decay run is the constant-rate run until its rate begins to fall (Hu et al. 2024,
arXiv 2404.06395, section 4; Hägele et al. 2024, arXiv 2405.18392). So the trunk is trained once,
and each length takes the trunk's state at the step where its cooldown begins. A branch is kept as
the very run that training that length alone would be.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from workbench.progress import Report, silent
from workbench.runs import AlreadyFinished, Identity, Run, Store, fingerprint
from workbench.runs.disk import append_line, write_json
from workbench.training import Checkpoints, Recipe, Result, Task, train
from workbench.training.task import drawing_as

FLOPS_A_TOKEN = 6.0
"""Of a parameter: a multiply-add is two, and a backward pass is two forward ones."""

TRUNK = {"schedule": "constant", "decay_fraction": 0.2, "final_fraction": 0.0}
"""What makes a recipe its trunk's: one trunk, however its branches cool down."""


def cooldown_points(
    task: Task,
    recipe: Recipe,
    lengths: Sequence[int],
    *,
    store: Store,
    tokens_per_update: float,
    loss: str = "loss",
    flops_per_token: float | None = None,
    report: Report = silent,
) -> list[dict[str, Any]]:
    """One (N, D, loss) point for each length, from one trunk.

    Args:
        task: what is trained.
        recipe: of the runs; its `schedule` must be "wsd", its `steps` count for nothing.
        lengths: updates of each run, warm-up and cooldown included.
        store: of the runs: the branches, and the pieces of the trunk between them.
        tokens_per_update: D of one update.
        loss: which number of the task's evaluation; the last row's where the task has none.
        flops_per_token: of a forward and a backward pass; 6 N where left out.
        report: progress in updates over trunk and branches; what it raises stops it, to be resumed.

    Returns:
        For each length, in their order: `n_params`, `n_tokens`, `loss`, `steps`, `flops` (of such
        a run alone), `flops_charged` (of what this point added: its cooldown, and the piece of the
        trunk that no shorter one needs; together what was computed), `branched_at`, `branch_id`
        and `parent_id` (runs of the branch and of the trunk up to it).

    Raises:
        ValueError: another schedule, the same length twice, a cooldown that begins in the warm-up,
            or a loss that the task does not evaluate.
    """
    starts = {length: branching(recipe, length) for length in lengths}
    if len(starts) != len(lengths):
        raise ValueError(f"lengths is {list(lengths)}; give each once")
    order = sorted(starts, key=lambda length: (starts[length], length))
    total = _updates(starts)
    trunk: Run | None = None
    reached, done = 0, 0
    found: dict[int, dict[str, Any]] = {}
    for length in order:
        start = starts[length]
        added = start - reached
        if start > reached or trunk is None:
            piece = recipe.model_copy(update={"steps": start, **TRUNK})
            shown = _share(report, done - reached, total)
            result = _continued(task, piece, trunk, reached, store, shown)
            trunk, reached, done = result.run, start, done + added
        assert trunk is not None
        branch = recipe.model_copy(update={"steps": length})
        shown = _share(report, done - start, total)
        result = _continued(task, branch, trunk, start, store, shown)
        done += length - start
        assert result.run is not None
        point = _point(result, length, loss, tokens_per_update, flops_per_token)
        charged = point["flops"] * (added + length - start) / length
        found[length] = {
            **point,
            "flops_charged": charged,
            "branched_at": start,
            "branch_id": result.run.id,
            "parent_id": trunk.id,
        }
    return [found[length] for length in lengths]


def branching(recipe: Recipe, length: int) -> int:
    """Updates after which the rate of a run of `length` updates begins to fall.

    Raises:
        ValueError: it is no wsd recipe, or has no part at constant rate.
    """
    if recipe.schedule != "wsd":
        raise ValueError(f"recipe.schedule is {recipe.schedule!r}; a trunk with cooldowns is 'wsd'")
    start = math.floor(length * (1 - recipe.decay_fraction))
    if start <= recipe.warmup or start < 1:
        raise ValueError(
            f"lengths: of {length} updates the last {length - start} decay, which leaves none "
            f"at constant rate after the warm-up of {recipe.warmup}; give a longer one"
        )
    return start


def identity_of_training(task: Task, recipe: Recipe) -> Identity:
    """The identity under which `workbench.training.train` keeps such a run."""
    return Identity(
        config=recipe.identity(),
        subject=fingerprint(drawing_as(task, recipe)),
        version=recipe.version,
        seed=recipe.seed,
    )


def _continued(
    task: Task, recipe: Recipe, parent: Run | None, step: int, store: Store, report: Report
) -> Result:
    """Trains a run that begins with the first `step` updates of another."""
    run = store.run(identity_of_training(task, recipe))
    if parent is not None:
        _plant(run, parent, step)
    return train(task, recipe, store=store, report=report)


def _plant(run: Run, parent: Run, step: int) -> None:
    """Puts the parent's state and rows up to `step` into a run that has none of its own."""
    with suppress(AlreadyFinished), run.writing(wait=None) as writer:
        if Checkpoints(run.checkpoints).steps():
            return
        staging = run.checkpoints / f"staging-branch-{writer.fence}"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(parent.checkpoints / str(step), staging)
        rows = [row for row in parent.rows() if row["step"] <= step]
        with writer.held():
            (run.folder / "metrics.jsonl").unlink(missing_ok=True)
            for row in rows:
                append_line(run.folder / "metrics.jsonl", row)
            write_json(run.folder / "parent.json", {"parent_id": parent.id, "step": step})
            staging.rename(run.checkpoints / str(step))


def _updates(starts: dict[int, int]) -> int:
    return max(starts.values()) + sum(length - start for length, start in starts.items())


def _share(report: Report, offset: int, total: int) -> Report:
    """A run's report as part of the whole: its update n is the whole's `offset` + n."""

    whole = total

    def inner(done: int, total: int, note: str = "", preview: Any = None) -> None:
        report(min(max(offset + done, 0), whole), whole, note)

    return inner


def _point(
    result: Result, steps: int, loss: str, tokens_per_update: float, flops_per_token: float | None
) -> dict[str, Any]:
    import jax

    number = sum(leaf.size for leaf in jax.tree.leaves(result.params))
    tokens = steps * tokens_per_update
    flops = tokens * (FLOPS_A_TOKEN * number if flops_per_token is None else flops_per_token)
    value = _loss(result, loss)
    return {"n_params": number, "n_tokens": tokens, "loss": value, "steps": steps, "flops": flops}


def _loss(result: Result, name: str) -> float:
    if not result.evaluation:
        return float(result.history["loss"].iloc[-1])
    if name not in result.evaluation:
        known = ", ".join(result.evaluation)
        raise ValueError(f"loss is {name!r}, which the task does not evaluate; it has {known}")
    return result.evaluation[name]
