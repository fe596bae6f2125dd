"""Train convnets on pictures with classes, and write their folder.

    python -m workbench.vision.train --out data/vision-small
    python -m workbench.vision.train --data photos/ --architecture mobilenetv2_100 --minutes 30

The patches of photographs and the digits are at hand; a folder of one's own has a sub-folder for
each class. Stopped by hand, by `--minutes` or by a crash, the same command goes on where it
stopped; each network is written as soon as it is trained.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydantic

from workbench.checkpoints import CheckpointError, replace_text
from workbench.datasets import Dataset, DatasetError, Images, MixedColours, SmallPicture
from workbench.home import keep_compiled
from workbench.progress import Bar, Cancelled, Deadline, Report, Throttled
from workbench.runs import Store
from workbench.training import NotANumber, Result, train
from workbench.vision.architectures import published
from workbench.vision.training.card import card
from workbench.vision.training.folder_size import folder_size, own_size, too_small_for
from workbench.vision.training.plan import PATCHES, SIZES, Plan, augmentation_of, data_of
from workbench.vision.training.shelf import FACTS
from workbench.vision.training.task import ClassificationTask, table_for

MODULE = "workbench.vision.train"
SIZE = (
    "side of a picture, pixels; where left out 32 for patches, 16 for digits, and for a folder the "
    "size the networks are made for (224 for published ones, 32 for the small ones), or the "
    "largest multiple of 32 that its smallest picture has"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    keep_compiled()
    try:
        plan = plan_of(given)
        data = pictures_of(given, plan)
        recipe = plan.recipe(given.seed)
        moved = augmentation_of(given.data, data.train.images.shape[1])
        tasks = {
            name: ClassificationTask(
                table_for(name, data, drop_path=given.drop_path), data, recipe, augmentation=moved
            )
            for name in plan.networks
        }
    except (DatasetError, ValueError) as error:
        print(in_command_words(error), file=sys.stderr)
        return 2
    bar, stopped = Bar("convnets"), ""
    deadline = Deadline(given.minutes, Throttled(bar, 0.5))
    store = Store(given.store)
    facts = _about(given, data, tasks)
    try:
        for name, task in tasks.items():
            result = train(task, task.recipe, store=store, report=_named(deadline, name))
            facts["networks"][name] = write_network(name, task, result, given.out)
            replace_text(given.out / FACTS, json.dumps(facts, indent=1) + "\n")
            replace_text(given.out / "card.md", card(facts))
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    except (NotANumber, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        bar.close()
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    print(card(facts))
    return 0


def plan_of(given: argparse.Namespace) -> Plan:
    """Networks and lengths as the command's arguments say.

    Raises:
        ValueError: a field out of range.
    """
    plan = Plan(ema_decay=given.ema)
    if given.architecture:
        plan = replace(plan, networks=tuple(dict.fromkeys(given.architecture)))
    if given.steps is not None:
        plan = replace(plan, steps=given.steps)
    plan = tiny(plan) if given.tiny else plan
    try:
        plan.recipe(given.seed)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"])) or "recipe"
        raise ValueError(f"{field}={problem['input']!r}: {problem['msg']}") from error
    return plan


def pictures_of(given: argparse.Namespace, plan: Plan) -> Dataset[Images]:
    """The pictures, at the size that is asked for or that the networks are made for.

    Raises:
        DatasetError: what cannot be used.
        ValueError: a network that is not known.
    """
    tables = [published(name) for name in plan.networks]
    size, why = given.size, "as asked"
    if size is None and given.data in SIZES:
        size, why = SIZES[given.data], f"the size of {given.data}"
    elif size is None:
        size, why = folder_size(given.data, tables, enlarge=given.enlarge)
    how = {name: getattr(given, name) for name in ("grey", "colour", "enlarge")}
    data = data_of(given.data, size, **how)
    print(f"Pictures of {size} × {size} pixels: {why}")
    for table in too_small_for(size, tables):
        own = own_size(table)
        print(f"{table.architecture} is made for {own} × {own}; its last maps are small here")
    return data


def in_command_words(error: Exception) -> str:
    """An error of the pictures, with what the command's own arguments would say."""
    if isinstance(error, MixedColours):
        return f"{error.what}; say --grey or --colour"
    if isinstance(error, SmallPicture):
        return f"{error.what}; take a smaller --size, or --enlarge, which adds no detail"
    return str(error)


def tiny(plan: Plan) -> Plan:
    """A few updates of one network, to see that it works."""
    return replace(plan, networks=plan.networks[:1], steps=2, batch_size=8)


def write_network(
    name: str, task: ClassificationTask, result: Result, folder: Path
) -> dict[str, Any]:
    """The network in timm's layout, its history, and its facts, judged as it was read back."""
    from workbench.vision.counts import macs, parameters
    from workbench.vision.loading import load, save
    from workbench.vision.training.judging import judged

    place = folder / name
    save(task.finished(result.weights), place)
    history = result.history.round(6)
    history.to_csv(folder / f"training-{name}.csv", index=False, float_format="%.5g")
    found = judged(load(place), task.data.test)
    top1 = found.top1
    return {
        "parameters": parameters(task.table),
        "macs": macs(task.table),
        "updates": result.steps,
        "seconds": round(result.seconds, 1),
        "top1": {"value": top1.value, "low": top1.low, "high": top1.high, "count": top1.count},
        "cross_entropy": found.cross_entropy,
    }


def _named(report: Report, name: str) -> Report:
    def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
        report(done, total, f"{name}: {note}" if note else name)

    return told


def _about(
    given: argparse.Namespace, data: Dataset[Images], tasks: Mapping[str, ClassificationTask]
) -> dict[str, Any]:
    from workbench.measure import device
    from workbench.vision.training.baseline import by_colour_alone

    task = next(iter(tasks.values()))
    floor = by_colour_alone(data)
    return {
        "command": " ".join([f"python -m {MODULE}", *_words(given)]),
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "source": data.card.source,
            "licence": data.card.licence,
            "split": data.card.split,
            "sizes": data.card.sizes,
            "notes": data.card.notes,
            "colour_alone": {"value": floor.value, "low": floor.low, "high": floor.high},
        },
        "recipe": task.recipe.model_dump(mode="json"),
        "smoothing": task.smoothing,
        "augmentation": task.augmentation.model_dump(),
        "networks": {},
    }


def _words(given: argparse.Namespace) -> list[str]:
    """The arguments that decide what comes out, as they would be typed."""
    words = [] if given.data == PATCHES else [f"--data {Path(given.data).name}"]
    if given.architecture:
        words.append("--architecture " + " ".join(given.architecture))
    for name in ("size", "steps", "ema"):
        if getattr(given, name) is not None:
            words.append(f"--{name} {getattr(given, name)}")
    words += [f"--drop-path {given.drop_path}"] * (given.drop_path > 0)
    flags = [f"--{name}" for name in ("grey", "colour", "enlarge", "tiny") if getattr(given, name)]
    return [*words, *flags, f"--seed {given.seed}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--data", default=PATCHES, help='"patches", "digits", or a folder of classes')
    add("--architecture", nargs="+", help="tables by name; the small ones where left out")
    add("--size", type=int, default=None, help=SIZE)
    channels = parser.add_mutually_exclusive_group()
    channels.add_argument("--grey", action="store_true", help="one channel")
    channels.add_argument(
        "--colour", action="store_true", help="three channels, of a folder's grey pictures too"
    )
    add("--enlarge", action="store_true", help="take pictures smaller than the size too")
    add("--out", type=Path, default=Path("vision-small"), help="folder that is written")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--steps", type=int, default=None, help="updates of each network")
    add("--ema", type=float, default=None, help="decay of averaged weights; none where left out")
    add("--drop-path", type=float, default=0.0, help="largest rate of stochastic depth")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--seed", type=int, default=0, help="of weights, batches and moves")
    add("--tiny", action="store_true", help="a few updates of the first, to see that it works")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
