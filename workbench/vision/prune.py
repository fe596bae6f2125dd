"""Prune a trained network while it trains on, and write it beside what that cost.

    python -m workbench.vision.prune our_small_mobilenet_v1 --keep blocks:0.17:8 --out pruned
    python -m workbench.vision.prune my-network --data photos/ --keep 2:4 --steps 1000 --minutes 30

What stays is written "N:M", "blocks:SHARE" or "blocks:SHARE:SIZE", or a share of single weights.
Stopped by hand, by `--minutes` or by a crash, the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError, replace_text
from workbench.datasets import Dataset, DatasetError, Images, SmallPicture
from workbench.home import keep_compiled
from workbench.measure import device
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.runs import Store
from workbench.training import NotANumber, train
from workbench.vision.loading import load, save
from workbench.vision.networks import ConvNet
from workbench.vision.pruning.judging import words
from workbench.vision.pruning.masking import pruned
from workbench.vision.pruning.retraining import STEPS, PruningTask, pruning_recipe, share_kept
from workbench.vision.pruning.structures import Blocks, NOfM, Structure, Unstructured
from workbench.vision.training.judging import judged
from workbench.vision.training.plan import PATCHES, augmentation_of, data_of
from workbench.vision.training.population import with_population_statistics
from workbench.vision.training.shelf import checkpoints

FACTS = "pruning.json"
NUMBER = r"\d*\.?\d+"
WRITTEN = re.compile(rf"(\d+):(\d+)|blocks:({NUMBER})(?::(\d+))?|({NUMBER})")
KEEP = '"N:M" such as 2:4, "blocks:SHARE" or "blocks:SHARE:SIZE", or a share such as 0.25'


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    keep_compiled()
    bar = Bar("pruning")
    report = Deadline(given.minutes, Throttled(bar, 0.5))
    try:
        structure, model = kept(given.keep), network(given.network)
        height, width = model.config.preprocessing.input_size[1:]
        if height != width:
            raise ValueError(f"{given.network} reads {height}×{width} pixels; needed a square")
        grey = model.config.in_chans == 1
        data = data_of(given.data, height, grey=grey, colour=not grey, enlarge=given.enlarge)
        recipe = pruning_recipe(given.steps, given.seed)
        moved = augmentation_of(given.data, height)
        task = PruningTask(model, data, recipe, structure, augmentation=moved)
        result = train(task, recipe, store=Store(given.store), report=report)
        found = task.finished(result.weights)
        facts = about(model, found, structure, data) | {
            "network": Path(given.network).name,
            "data": data.name,
            "updates": result.steps,
            "date": datetime.date.today().isoformat(),
            "device": device.label(),
            "recipe": recipe.model_dump(mode="json"),
        }
        save(found, given.out)
        replace_text(given.out / FACTS, json.dumps(facts, indent=1) + "\n")
    except (Cancelled, KeyboardInterrupt) as reason:
        print(f"{reason or 'stopped'}; the same command goes on from here", file=sys.stderr)
        return 3
    except SmallPicture as error:
        print(f"{error.what}; --enlarge takes it, which adds no detail", file=sys.stderr)
        return 2
    except (DatasetError, CheckpointError, NotANumber, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        bar.close()
    print(told(facts))
    return 0


def kept(text: str) -> Structure:
    """The structure that `--keep` names.

    Raises:
        ValueError: another text, or numbers that a structure cannot have.
    """
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"keep={text!r}; needed {KEEP}")
    n, m, share, size, single = found.groups()
    if n:
        return NOfM(int(n), int(m))
    if share:
        return Blocks(float(share), *([int(size)] if size else []))
    return Unstructured(float(single))


def network(name: str) -> ConvNet:
    """A shipped network by its name, or one in a folder in timm's layout.

    Raises:
        CheckpointError, ValueError: none there, or not one.
    """
    shipped = {one.name: one for one in checkpoints()}
    if name in shipped:
        return shipped[name].load()
    if not Path(name).is_dir():
        raise ValueError(f"{name}: no such folder; networks that ship are {', '.join(shipped)}")
    return load(name)


def about(
    model: ConvNet, found: ConvNet, structure: Structure, data: Dataset[Images]
) -> dict[str, Any]:
    """What stays, and top-1 before, after pruning at once, and after pruning while it trained."""
    at_once = with_population_statistics(pruned(model, structure), data.train)
    top1 = {"before": model, "pruned_at_once": at_once, "pruned_gradually": found}
    judgements = {name: judged(one, data.test).top1 for name, one in top1.items()}
    return {
        "structure": words(structure),
        "density": round(share_kept(found, structure), 4),
        "top1": {
            name: {"value": one.value, "low": one.low, "high": one.high, "count": one.count}
            for name, one in judgements.items()
        },
    }


def told(facts: dict[str, Any]) -> str:
    """The facts in a few lines."""
    lines = [f"{facts['network']}: {facts['structure']} stays, {facts['updates']} updates"]
    for name, one in facts["top1"].items():
        lines.append(
            f"- {name.replace('_', ' ')}: {one['value']:.1%} of {one['count']} held out"
            f" ({one['low']:.1%} to {one['high']:.1%})"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workbench.vision.prune")
    add = parser.add_argument
    add("network", help="name of one that ships, or a folder in timm's layout")
    add("--keep", required=True, help=KEEP)
    add("--data", default=PATCHES, help='"patches", "digits", or a folder of classes')
    add("--enlarge", action="store_true", help="take pictures smaller than the network reads too")
    add("--out", type=Path, default=Path("pruned"), help="folder that is written")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--steps", type=int, default=STEPS, help="updates; masks stay after two thirds")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--seed", type=int, default=0, help="of batches and moves")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
