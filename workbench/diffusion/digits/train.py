"""Train the shipped model and the classifier that judges it, and write the folder that ships.

python -m workbench.diffusion.digits.train

Stopped by hand, by --minutes or by a crash, the same command goes on where it stopped; what was
learnt so far is written out in any case.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pandas as pd
from flax import nnx

from workbench.diffusion.checkpoint import save_unet
from workbench.diffusion.classifier import Classifier, save_classifier
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.digits import recipe as shipped
from workbench.diffusion.digits.card import TRAINING, write_card, write_json
from workbench.diffusion.schedulers import save_scheduler
from workbench.diffusion.unet import UNet2DCondition
from workbench.measure.device import describe
from workbench.progress import Bar, Report
from workbench.runs import Run
from workbench.training import Checkpoints, Recipe, Task, train
from workbench.training.state import initial_state

PARTS = ("unet", "classifier")


class OutOfTime(Exception):
    """The minutes given are over."""


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    changes = {} if given.steps is None else {"steps": given.steps}
    for part in PARTS if given.part == "all" else (given.part,):
        recipe, make_task, write = _part(part)
        recipe = recipe.model_copy(update=changes)
        task = make_task(recipe)
        learnt = trained(task, recipe, given.runs / f"digits-{part}", given.minutes)
        given.out.mkdir(parents=True, exist_ok=True)
        write(task, learnt.weights, given.out)
        _record(part, given, recipe, learnt)
        if learnt.facts["steps"] < recipe.steps:  # stopped: the next part is for the next call
            return


def _part(part: str) -> tuple[Recipe, Callable[[Recipe], Any], Callable[[Any, Any, Path], None]]:
    """Recipe, task and writer of a part, looked up when it is trained."""
    if part == "classifier":
        return shipped.CLASSIFIER_RECIPE, shipped.ClassifierTask, write_classifier
    return shipped.UNET_RECIPE, shipped.DiffusionTask, write_model


def _record(part: str, given: argparse.Namespace, recipe: Recipe, learnt: Learnt) -> None:
    """What was done, beside the weights: facts, the course of training, and the card."""
    chosen = "" if given.part == "all" else f" --part {part}"
    facts = {
        "command": f"python -m workbench.diffusion.digits.train{chosen}",
        "date": time.strftime("%Y-%m-%d"),
        "device": describe().label(),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(learnt.weights)),
        **learnt.facts,
        "recipe": recipe.model_dump(mode="json"),
    }
    log = given.out / f"training-{part}.csv"
    learnt.history.to_csv(log, index=False, float_format="%.5g")
    write_json(facts, given.out / TRAINING.format(part=part))
    write_card(given.out)
    print(json.dumps(facts, indent=2))


class Learnt(NamedTuple):
    """What a run has come to."""

    weights: Any
    history: pd.DataFrame
    facts: dict[str, Any]


def trained(task: Task, recipe: Recipe, run: Path, minutes: float | None) -> Learnt:
    """Trains in the folder `run`, for so many minutes at most; gives the averaged weights."""
    try:
        result = train(task, recipe, folder=run, report=_clock(minutes), title=run.name)
    except (OutOfTime, KeyboardInterrupt):
        return _so_far(task, recipe, run)
    facts = {"steps": result.steps, "seconds": round(result.seconds, 1), **result.evaluation}
    return Learnt(result.weights, result.history, facts)


def _so_far(task: Task, recipe: Recipe, run: Path) -> Learnt:
    """The newest checkpoint of a run that was stopped."""
    checkpoints = Checkpoints(run / "checkpoints")
    state = checkpoints.restore(initial_state(task, recipe))
    checkpoints.close()
    kept = Run(run)
    facts = {"steps": int(state.step), "seconds": round(kept.status.seconds, 1)}
    return Learnt(state.ema, pd.DataFrame(kept.rows()), facts)


def _clock(minutes: float | None) -> Report:
    """A progress bar that ends the run so many minutes after its first report."""
    bar = Bar("training")
    began: list[float] = []

    def report(done: int, total: int, note: str = "", preview: Any = None) -> None:
        bar(done, total, note)
        if not began:
            began.append(time.monotonic())
        if minutes is not None and time.monotonic() > began[0] + 60 * minutes and done < total:
            raise OutOfTime

    return report


def write_model(task: Any, weights: dict[str, Any], folder: Path) -> None:
    """The folder that `Pipeline.load` and diffusers read, in half precision: half the size."""
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), weights["unet"])
    unet: UNet2DCondition = nnx.merge(task.graph, half)
    save_unet(unet, folder / "unet")
    ClassTokens(weights["tokens"]).save(folder / "class_tokens")
    save_scheduler(shipped.SCHEDULER, folder / "scheduler")
    index = {
        "_class_name": "ClassConditionalPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    write_json(index, folder / "model_index.json")


def write_classifier(task: Any, weights: Any, folder: Path) -> None:
    """The folder that `load_classifier` reads."""
    classifier = Classifier(nnx.merge(task.graph, weights), shipped.CLASSIFIER)
    save_classifier(classifier, folder / "classifier")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workbench.diffusion.digits.train")
    parser.add_argument(
        "--out", type=Path, default=Path("data/digits-unet"), help="what is written"
    )
    parser.add_argument("--part", choices=("all", *PARTS), default="all")
    parser.add_argument(
        "--minutes", type=float, help="stop a part after so many; run again to go on"
    )
    parser.add_argument("--steps", type=int, help="updates, where not the recipe's own number")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of training runs")
    return parser


if __name__ == "__main__":
    main()
