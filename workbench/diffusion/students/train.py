"""Train the students that ship from the shipped teacher, and write their folders.

    python -m workbench.diffusion.students.train --out my-students

One-pass students of K = 4, 2 and 1, and two rivals on the same teacher and budget: a consistency
model and a one-step regression. Stopped by hand, by `--minutes` or by a crash, the same command
goes on where it stopped; each student is written as soon as it is trained.

What ships was written with `--difference --out data/digits-students`: each UNet as its difference
from the teacher's, in eight bits, which needs the teacher beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError, replace_text
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.students.course import Course, Trained
from workbench.diffusion.students.plan import DIVERGENCE, Arm, Kind, Plan
from workbench.diffusion.students.student import save_student
from workbench.home import keep_compiled
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.runs import Store
from workbench.shipped import path

MODULE = "workbench.diffusion.students.train"
CARD = "training.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument or disk, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    plan = Plan().tiny() if given.tiny else Plan()
    bar, facts, stopped = Bar("students"), dict[str, Any](), ""
    try:
        base = teacher_folder(given) if given.difference else None
        course = opened(plan, given, Deadline(given.minutes, Throttled(bar, 0.5)))
    except (ValueError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        for arm in plan.shipped:
            trained = course.trained(arm, given.seed)
            save_student(trained.student, given.out / arm.folder, base)
            facts[arm.folder] = {"kind": arm.kind, "passes": arm.passes, **effort(trained)}
            _write(given, course, facts)
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        bar.close()
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    print(json.dumps(facts, indent=1))
    return 0


def opened(plan: Plan, given: argparse.Namespace, report: Any) -> Course:
    """The course of a command's arguments; errors as of `Course` and `Pipeline.load`."""
    keep_compiled()
    return Course(plan, Pipeline.load(teacher_folder(given)), Store(given.store), report)


def teacher_folder(given: argparse.Namespace) -> Path:
    """The teacher of a command's arguments."""
    folder: Path = given.teacher or path("data/digits-unet")
    return folder


def effort(trained: Trained) -> dict[str, Any]:
    """What a student took, as plain values."""
    return {
        "parameters": sum(int(leaf.size) for leaf in trained.student.pipeline.weights),
        "updates": trained.steps,
        "macs": trained.macs,
        "seconds": round(trained.seconds, 1),
        "losses": trained.losses,
    }


def _write(given: argparse.Namespace, course: Course, facts: dict[str, Any]) -> None:
    from workbench.measure import device

    plan, teacher = course.plan, course.teacher.pipeline
    words = [f"python -m {MODULE}", f"--seed {given.seed}"] + ["--tiny"] * given.tiny
    if given.difference:
        words += ["--difference", f"--out {given.out.as_posix()}"]
    about = {
        "command": " ".join(words),
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "teacher": {
            "weights": teacher.weights_hash,
            "sampler": f"DDIM, {teacher.steps} steps, guidance {teacher.guidance:g}",
        },
        "seed": given.seed,
        "budget_macs": course.budget,
        "recipe": plan.recipe(plan.steps, given.seed).model_dump(mode="json"),
        "layout": "difference" if given.difference else "whole",
        "divergence": DIVERGENCE,
        "adapter": vars(course.adapter),
        "students": facts,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about, indent=1, ensure_ascii=False)
    replace_text(given.out / CARD, text + "\n")
    replace_text(given.out / "card.md", _card(about))


def _card(about: dict[str, Any]) -> str:
    recipe, adapter = about["recipe"], about["adapter"]
    lines = [
        "# Students of the shipped digits: one pass, consistency, regression\n",
        "Distilled from `digits-unet` with one budget of multiply-adds each. The one-pass students "
        "follow TiUE (arXiv 2505.21960); their training reads no pictures. Sizes, lengths, rates "
        "and the guidance are ours.\n",
        f"- Command: `{about['command']}`",
        f"- {about['device']}, {about['date']}; other work shared the cores",
        f"- Teacher: weights {about['teacher']['weights']}, {about['teacher']['sampler']}; the "
        "consistency student also reads the digits' training side",
        f"- Budget: {about['budget_macs'] / 1e12:.2f} T multiply-adds each; {recipe['batch_size']} "
        f"pictures an update, rate {recipe['learning_rate']:g}, averaged weights, decay "
        f"{recipe['ema_decay']:g}",
        f"- Fake score: LoRA of rank {adapter['rank']} and alpha {adapter['alpha']:g} on "
        f"{', '.join(adapter['layers']) or 'every kernel'}; divergence weighted by "
        f"λ = {about['divergence']:.2g}",
        _layout(about["layout"]),
    ]
    for folder, one in about["students"].items():
        losses = ", ".join(f"{name} {value:.3g}" for name, value in one["losses"].items())
        lines.append(
            f"- `{folder}` ({_title(one['kind'], one['passes'])}): "
            f"{one['parameters']:,} parameters, {one['updates']:,} updates, "
            f"{one['macs'] / 1e12:.2f} T multiply-adds, {one['seconds'] / 60:.1f} minutes; "
            f"last {losses}"
        )
    return "\n".join(lines) + "\n"


def _layout(layout: str) -> str:
    if layout == "whole":
        weights = "weights in half precision"
    else:
        weights = (
            "kernels in eight bits as their difference from the teacher's, which must stay where "
            "it is from here, and all else in half precision; `save_student(load_student(folder), "
            "other)` writes a student whole, as diffusers reads it"
        )
    return (
        f"- Layout: diffusers (`unet`, `scheduler`); {weights}; computed in float32; "
        "`student.json` says how each is sampled"
    )


def _title(kind: Kind, passes: int) -> str:
    return "for any number of steps" if kind == "consistency" else Arm(kind, passes).name


def arguments(parser: argparse.ArgumentParser) -> None:
    """What this command and the study's share."""
    add = parser.add_argument
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--teacher", type=Path, default=None, help="its folder; the shipped digits where left out")
    add("--tiny", action="store_true", help="a few updates, to see that it works")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument(
        "--out", type=Path, default=Path("digits-students"), help="folder that is written"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all students")
    parser.add_argument(
        "--difference",
        action="store_true",
        help="keep each as its difference from the teacher, half the bytes: the teacher must stay "
        "where it is from the folder",
    )
    arguments(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
