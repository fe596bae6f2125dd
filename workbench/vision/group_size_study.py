"""Constant group size against a fixed number of groups, trained on real pictures over seeds.

    python -m workbench.vision.group_size_study --out data/group-size-study

E2GC (Jha et al. 2020, arXiv 2006.15100) holds a constant size to be the better balanced of both.
Each network of `group_size_arms` is trained with the same recipe on patches of photographs, seed by
seed, and judged on held-out patches; pairs of equal arithmetic are compared seed by seed. Networks,
lengths and data are ours. Stopped by hand or by `--minutes`, the same command goes on, and what is
known is written after every training.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.checkpoints import replace_text
from workbench.datasets import Dataset, DatasetError, Images, photograph_patches
from workbench.home import keep_compiled
from workbench.progress import Bar, Cancelled, Deadline, Report, Throttled
from workbench.runs import Store
from workbench.training import NotANumber, train
from workbench.vision.counts import macs, parameters
from workbench.vision.group_size_arms import Arm, arms
from workbench.vision.group_size_verdict import conclusion, verdicts
from workbench.vision.training.baseline import by_colour_alone
from workbench.vision.training.plan import Plan as Lengths
from workbench.vision.training.task import ClassificationTask, table_for

MODULE = "workbench.vision.group_size_study"
LENGTHS = Lengths(steps=200)


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        arms: networks.
        seeds: each trains every arm anew.
        size: side of a patch, pixels.
        colour: whether patches have colour.
        lengths: steps and rates, the same for all.
    """

    arms: tuple[Arm, ...] = tuple(arms())
    seeds: tuple[int, ...] = (0, 1, 2)
    size: int = 32
    colour: bool = False
    lengths: Lengths = LENGTHS

    def data(self) -> Dataset[Images]:
        """The patches."""
        return photograph_patches(self.size, colour=self.colour)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    keep_compiled()
    plan = tiny(Plan()) if given.tiny else Plan()
    try:
        if given.seeds is not None:
            if given.seeds < 1:
                raise ValueError(f"seeds={given.seeds} must be at least 1")
            plan = replace(plan, seeds=tuple(range(given.seeds)))
        data = plan.data()
    except (DatasetError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    bar = Bar("group sizes")
    report = Deadline(given.minutes, Throttled(bar, 0.5))
    rows: list[dict[str, Any]] = []
    stopped = ""
    try:
        for seed in plan.seeds:
            for arm in plan.arms:
                rows.append(trained(arm, seed, plan, data, Store(given.store), report))
                write(rows, plan, data, given)
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    except NotANumber as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        bar.close()
    for verdict in verdicts(rows):
        print(verdict.sentence)
    print(conclusion(rows))
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    return 0


def tiny(plan: Plan) -> Plan:
    """A pair of equal arithmetic for two updates each, to see that it works."""
    pair = tuple(arm for arm in plan.arms if arm.network == "our_small_resnext")[3:8:4]
    return replace(plan, arms=pair, seeds=(0,), lengths=Lengths(steps=2, batch_size=8))


def trained(
    arm: Arm, seed: int, plan: Plan, data: Dataset[Images], store: Store, report: Report
) -> dict[str, Any]:
    """One arm of one seed, from the store where it was trained before: a row of the study."""
    table = table_for(arm.table(), data)
    task = ClassificationTask(table, data, plan.lengths.recipe(seed))
    label = f"{arm.name}, seed {seed}"

    def told(done: int, total: int, note: str = "", preview: Any = None) -> None:
        report(done, total, f"{label}: {note}" if note else label)

    result = train(task, task.recipe, store=store, report=told)
    return {
        "arm": arm.name,
        "network": arm.network,
        "rule": arm.rule,
        "number": arm.number,
        "seed": seed,
        "accuracy": round(result.evaluation["accuracy"], 6),
        "cross_entropy": result.evaluation["cross_entropy"],
        "macs": macs(table),
        "parameters": parameters(table),
        "updates": result.steps,
        "seconds": round(result.seconds, 2),
    }


def write(
    rows: Sequence[dict[str, Any]], plan: Plan, data: Dataset[Images], given: argparse.Namespace
) -> None:
    """The table of all trainings, and a card of what they are and what they say."""
    import pandas as pd

    from workbench.measure import device

    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g")
    replace_text(folder / "quality.csv", text)
    floor = by_colour_alone(data)
    about = {
        "study": "group size",
        "command": f"python -m {MODULE} --seeds {len(plan.seeds)}" + " --tiny" * given.tiny,
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "data": data.name,
        "fingerprint": data.fingerprint,
        "licence": data.card.licence,
        "split": data.card.split,
        "sizes": data.card.sizes,
        "test_pictures": len(data.test),
        "brightness_alone": floor.value,
        "recipe": plan.lengths.recipe(0).model_dump(mode="json", exclude={"seed"}),
        "seeds": len({row["seed"] for row in rows}),
        "minutes": round(sum(row["seconds"] for row in rows) / 60, 1),
        "ours": "networks, lengths and data; intervals are Student's over paired seeds at 95 %, "
        "not corrected for their number; they say how other seeds would differ on these pictures",
        "verdicts": [
            {"first": v.first, "second": v.second, "better": v.better, "sentence": v.sentence}
            for v in verdicts(rows)
        ],
        "conclusion": conclusion(rows),
    }
    replace_text(folder / "card.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--out", type=Path, default=Path("group-size-study"), help="folder of the tables")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--seeds", type=int, default=None, help="of each network; from 3 on there are intervals")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--tiny", action="store_true", help="one pair for two updates, to see that it works")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
