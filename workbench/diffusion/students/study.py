"""Students side by side: quality, diversity, multiply-adds, seconds, and λ ablated over seeds.

    python -m workbench.diffusion.students.study --out data/digits-students-study

Trains what `...students.train` trains (runs of the same store are not done twice), and the
one-pass student of K = 4 for every λ that is compared, each with three seeds. All are judged on
pictures of the same noise, beside the teacher and the same forms before any training. Stopped by
hand or by `--minutes`, the same command goes on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError, replace_text
from workbench.diffusion.classifier import Classifier, load_classifier
from workbench.diffusion.costs import full_cost
from workbench.diffusion.driver import sample
from workbench.diffusion.pipeline import Pipeline
from workbench.diffusion.students.course import Course
from workbench.diffusion.students.judging import Draw, judged, seconds_a_picture
from workbench.diffusion.students.plan import ABLATED, DIVERGENCE, Arm, Plan
from workbench.diffusion.students.student import student_of
from workbench.diffusion.students.train import arguments, effort, opened
from workbench.diffusion.students.verdict import Verdict, verdicts
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.shipped import path

MODULE = "workbench.diffusion.students.study"
UNTRAINED = "before training"
FEW_STEPS = 4
"""Of the teacher's own sampler, guided: the rival that needs no training."""


@dataclass
class Found:
    """What a study knows so far.

    Attributes:
        quality: a row for each way of sampling and seed; seed -1 where nothing was trained.
        effort: a row for each training.
        seconds: of a picture, by name.
    """

    quality: list[dict[str, Any]] = field(default_factory=list)
    effort: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def verdicts(self, plan: Plan) -> list[Verdict]:
        """The papers' questions, as far as both sides are known."""
        known = {row["arm"] for row in self.quality}
        found = []
        for first, second in questions(plan):
            if {first, second} <= known:
                found += verdicts(self.quality, first, second)
        return found


def questions(plan: Plan) -> Iterator[tuple[str, str]]:
    """Which arms are held against each other: λ first, then rivals, then what training did."""
    whole = plan.whole
    for arm in plan.ablated:
        if arm != whole:
            yield whole.name, arm.name
    for rival in (way for arm in plan.shipped for way in plan.judged(arm)):
        if rival.kind != "one-pass":
            yield whole.name, rival.name
        if rival.kind != "one-pass" and rival.passes == 1:
            yield Arm("one-pass", 1).name, rival.name
    for passes in plan.passes:
        if passes != plan.budget_passes:
            yield whole.name, Arm("one-pass", passes).name
    for passes in plan.passes:
        name = Arm("one-pass", passes).name
        yield name, f"{name}, {UNTRAINED}"


def order(plan: Plan) -> Iterator[tuple[Arm, int]]:
    """What ships first; then what is ablated, by seed; then the rest."""
    first = plan.seeds[0]
    whole = [(arm, first) for arm in plan.shipped]
    ablated = [(arm, seed) for seed in plan.seeds for arm in plan.ablated]
    rest = [(arm, seed) for seed in plan.seeds for arm in plan.shipped]
    yield from dict.fromkeys((*whole, *ablated, *rest))


def unseeded(course: Course) -> Iterator[tuple[str, Draw, float]]:
    """Name, sampling and multiply-adds of what no seed decides: the teacher, and no training."""
    teacher = course.teacher.pipeline
    one = full_cost(teacher.shape).macs * teacher.passes
    for steps in dict.fromkeys((teacher.steps, FEW_STEPS)):
        shorter = teacher.with_sampling(steps=steps)
        yield f"teacher, {steps} steps", _sampling(shorter), one * steps
    for passes in course.plan.passes:
        arm = Arm("one-pass", passes)
        student = student_of(teacher, course.teacher.weights, "one-pass", passes)
        yield f"{arm.name}, {UNTRAINED}", student.sample, student.cost.macs


def run(course: Course, found: Found, arm: Arm, seed: int, classifier: Classifier) -> None:
    """One training and what comes of it, added to what is known."""
    plan, teacher = course.plan, course.teacher.pipeline
    trained = course.trained(arm, seed)
    found.effort.append({"arm": arm.name, "seed": seed, **_flat(effort(trained))})
    for way in plan.judged(arm):
        student = trained.student.with_passes(way.passes)
        row = judged(student.sample, teacher, plan.pictures, course.data, classifier)
        about = {"arm": way.name, "seed": seed, "macs": student.cost.macs}
        found.quality.append({**about, **row})


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(words)
    plan = Plan().tiny() if given.tiny else Plan()
    plan = replace(plan, seeds=tuple(range(given.seeds)))
    bar, found, stopped = Bar(plan.name), Found(), ""
    try:
        course = opened(plan, given, Deadline(given.minutes, Throttled(bar, 0.5)))
    except (ValueError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 2
    judge = load_classifier(path("data/digits-unet") / "classifier")
    command = f"python -m {MODULE}" + (" --tiny" if given.tiny else "")
    try:
        for arm, seed in order(plan):
            run(course, found, arm, seed, judge)
            write(course, found, given.out, command)
        _finish(course, found, judge)
        write(course, found, given.out, command)
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    finally:
        bar.close()
    for one in found.verdicts(plan):
        print(one.sentence)
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    return 0


def _finish(course: Course, found: Found, judge: Classifier) -> None:
    """Rows that no seed decides, and seconds of everything, taken by turns."""
    plan, teacher = course.plan, course.teacher.pipeline
    draws: dict[str, Draw] = {}
    for name, draw, macs in unseeded(course):
        course.report(0, 1, f"judging {name}")
        row = judged(draw, teacher, plan.pictures, course.data, judge)
        found.quality.append({"arm": name, "seed": -1, "macs": macs, **row})
        if UNTRAINED not in name:
            draws[name] = draw
    for arm in plan.shipped:
        student = course.trained(arm, plan.seeds[0]).student
        for way in plan.judged(arm):
            draws[way.name] = student.with_passes(way.passes).sample
    found.seconds = seconds_a_picture(draws, teacher)


def write(course: Course, found: Found, folder: Path, command: str) -> None:
    """Tables, and a card that says what they are and what they say."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("quality", "effort"):
        text = pd.DataFrame(getattr(found, name)).to_csv(index=False, float_format="%.6g")
        replace_text(folder / f"{name}.csv", text)
    text = json.dumps(card(course, found, command), indent=1, ensure_ascii=False)
    replace_text(folder / "card.json", text + "\n")


def card(course: Course, found: Found, command: str) -> dict[str, Any]:
    """Command, plan, teacher, seconds, device and verdicts."""
    from workbench.measure import device

    plan, teacher = course.plan, course.teacher.pipeline
    return {
        "study": plan.name,
        "command": command,
        "finished": bool(found.seconds),
        "seeds": list(plan.seeds),
        "plan": {k: v for k, v in vars(plan).items() if isinstance(v, int | float | str)},
        "divergence": DIVERGENCE,
        "ablated": list(ABLATED),
        "teacher": teacher.weights_hash,
        "budget_macs": course.budget,
        "budget": "equal multiply-adds of training, the teacher's and the fake score's passes and "
        "the teacher's pictures that regression learns from among them",
        "features": "penultimate layer of the shipped classifier",
        "seconds_a_picture": found.seconds,
        "training_seconds": round(sum(row["seconds"] for row in found.effort), 1),
        "device": device.label(),
        "date": datetime.date.today().isoformat(),
        "verdicts": [as_fields(one) for one in found.verdicts(plan)],
    }


def as_fields(one: Verdict) -> dict[str, Any]:
    """A verdict as plain values."""
    apart = one.difference
    return {
        "metric": one.metric,
        "first": one.first,
        "second": one.second,
        "ours": one.ours.value,
        "theirs": one.theirs.value,
        "difference": apart.value,
        "low": apart.low if apart.known else None,
        "high": apart.high if apart.known else None,
        "seeds": apart.count,
        "better": one.better,
        "sentence": one.sentence,
    }


def _sampling(pipeline: Pipeline) -> Draw:
    return lambda inputs: sample(pipeline, inputs)


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    losses = {f"loss.{name}": value for name, value in fields.pop("losses").items()}
    return {**fields, **losses}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--out", type=Path, default=Path("digits-students-study"), help="folder of the tables")
    add("--seeds", type=int, default=len(Plan().seeds), help="how many")
    arguments(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
