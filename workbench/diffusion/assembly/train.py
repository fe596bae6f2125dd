"""Train the shipped teacher's students, and write their folder.

    python -m workbench.diffusion.assembly.train --out data/digits-assembled

Base, small and tiny as in BK-SDM, and tiny once more with four experts in its convolutions, all for
as many updates. Stopped by hand, by `--minutes` or by a crash, the same command goes on where it
stopped; each student is written as soon as it is trained.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from workbench import shipped
from workbench.checkpoints import CheckpointError, replace_text
from workbench.diffusion.assembly.counting import count_of
from workbench.diffusion.assembly.course import Course, Trained
from workbench.diffusion.assembly.judging import judged
from workbench.diffusion.assembly.plan import Plan
from workbench.diffusion.assembly.students import STUDENTS, TEACHER, Student
from workbench.diffusion.assembly.trained import FACTS, UNET
from workbench.diffusion.assembly.transform import with_unet
from workbench.diffusion.checkpoint import load_unet, save_unet
from workbench.diffusion.costs import UNetShape
from workbench.diffusion.folder_hash import hash_of_model
from workbench.diffusion.pipeline import Pipeline
from workbench.home import keep_compiled
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.runs import Store

MODULE = "workbench.diffusion.assembly.train"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    plan = tiny(Plan()) if given.tiny else Plan()
    bar, stopped = Bar("assembly"), ""
    deadline = Deadline(given.minutes, Throttled(bar, 0.5))
    keep_compiled()
    try:
        teacher = Pipeline.load(given.teacher or shipped.path(TEACHER))
        course = Course(teacher, plan, Store(given.store), deadline)
        for student in plan.students:
            course.assembly(student)
    except (CheckpointError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    facts = _about(course, given)
    try:
        for student in plan.students:
            trained = course.trained(student, given.seed)
            facts["students"][student.name] = write_student(course, student, trained, given.out)
            write_facts(facts, given.out)
        facts["teacher"]["judged"] = judged(teacher, course.data, plan.judged)
        for student in plan.students:
            found = load_unet(given.out / student.name / UNET)
            pipeline = with_unet(teacher, found, student.name)
            facts["students"][student.name]["judged"] = judged(pipeline, course.data, plan.judged)
        write_facts(facts, given.out)
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    finally:
        bar.close()
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    print(card(facts))
    return 0


def tiny(plan: Plan) -> Plan:
    """A few updates of one student, to see that it works."""
    return replace(plan, students=STUDENTS[2:3], steps=2, batch_size=4, seeds=(0, 1), judged=10)


def _about(course: Course, given: argparse.Namespace) -> dict[str, Any]:
    from workbench.measure import device

    teacher, plan = course.teacher, course.plan
    words = [f"python -m {MODULE}", f"--seed {given.seed}"] + ["--tiny"] * given.tiny
    words += [] if given.teacher is None else [f"--teacher {given.teacher}"]
    return {
        "command": " ".join(words),
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "data": course.data.card.source,
        "licence": course.data.card.licence,
        "recipe": plan.recipe(given.seed).model_dump(mode="json"),
        "teacher": {
            "name": teacher.name,
            "weights": teacher.weights_hash,
            "form": teacher.config.model_dump(mode="json"),
            **_counted(teacher.shape),
        },
        "students": {},
    }


def _counted(shape: UNetShape) -> dict[str, Any]:
    count = count_of(shape)
    return {"parameters": count.parameters, "macs": count.macs}


def write_student(
    course: Course, student: Student, trained: Trained, folder: Path
) -> dict[str, Any]:
    """The UNet in half precision, in diffusers' layout, and its facts."""
    graph, weights = nnx.split(trained.unet)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), weights)
    save_unet(nnx.merge(graph, half), folder / student.name / UNET)
    trained.history.to_csv(
        folder / f"training-{student.name}.csv", index=False, float_format="%.5g"
    )
    shape = replace(course.teacher.shape, config=trained.unet.config)
    return {
        "preset": student.preset,
        "experts": student.experts,
        "routing": student.routing,
        "dropped": list(course.assembly(student).dropped),
        "weights": hash_of_model(load_unet(folder / student.name / UNET)),
        "updates": trained.steps,
        "seconds": round(trained.seconds, 1),
        "losses": dict(trained.losses),
        **_counted(shape),
    }


def write_facts(facts: dict[str, Any], folder: Path) -> None:
    """The record and the card made of it."""
    replace_text(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    replace_text(folder / "card.md", card(facts))


def card(facts: dict[str, Any]) -> str:
    """The record in sentences; what has not been measured yet is left out."""
    teacher, recipe = facts["teacher"], facts["recipe"]
    lines = [
        "# Assembled students of the digits model\n",
        f"UNets of fewer blocks, cut from `{teacher['name']}` and distilled on it (A-SDM, arXiv "
        "2406.00210; cuts, losses and weights of BK-SDM, arXiv 2305.15798). Where a block of this "
        "teacher has one layer, which one goes is ours; so are lengths, rates and the experts.\n",
        f"- Data: {facts['data']}. Licence: {facts['licence']}. The training side alone.",
        f"- Command: `{facts['command']}`",
        f"- {facts['device']}, {facts['date']}; other work shared the core",
        f"- {recipe['steps']} updates of {recipe['batch_size']} pictures, seed {recipe['seed']}, "
        f"AdamW at {recipe['learning_rate']:g}, averaged weights of decay {recipe['ema_decay']}",
        "- Weights are stored in half precision and computed in float32\n",
        f"- Teacher: {_size(teacher)}{_judged(teacher)}",
    ]
    for name, one in facts["students"].items():
        lines.append(
            f"- `{name}`, without {', '.join(one['dropped'])}: {_size(one)}; trained for "
            f"{one['seconds'] / 60:.1f} minutes to losses of {one['losses']['task']:.4f} (task), "
            f"{one['losses']['output']:.4f} (output) and {one['losses']['feature']:.3f} (features)"
            f"{_judged(one)}"
        )
    return "\n".join(lines) + "\n"


def _size(one: dict[str, Any]) -> str:
    return f"{one['parameters']:,} parameters, {one['macs'] / 1e6:.1f} M multiply-adds a pass"


def _judged(one: dict[str, Any]) -> str:
    if "judged" not in one:
        return ""
    found = one["judged"]
    return (
        f". Of {found['count']} samples ({found['sampler']}, {found['steps']} steps, seed "
        f"{found['seed']}) the classifier sees the class asked for in {found['agreement']:.1%}; "
        f"toy-KID {found['kernel_distance']:.4f}, toy-FID {found['toy_fid']:.1f} (n = "
        f"{found['distance_count']}, to be held against each other alone; not FID), diversity "
        f"{found['diversity_ratio']:.2f} of the test images'; error on held-out pictures "
        f"{found['held_out_loss']:.4f}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--out", type=Path, default=Path("digits-assembled"), help="folder that is written")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--seed", type=int, default=0, help="of batches, noise and routers")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--teacher", type=Path, default=None, help="folder of the digits model to cut")
    add("--tiny", action="store_true", help="a few updates, to see that it works")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
