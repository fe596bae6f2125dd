"""The teacher, its students, and both composed with plans and precisions: quality, MACs, seconds.

    python -m workbench.diffusion.assembly.study --out data/digits-assembled-study

Every composition draws the same pictures, seed by seed, and is held against the teacher's full run:
differences are paired, with intervals, and times are taken in turn. The students are those that
ship, one training each; `--training-seeds 3` also trains tiny with and without experts anew for
each seed, for as many updates, and pairs their errors on held-out pictures. Lengths, plans and what
is composed are ours.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import shipped
from workbench.checkpoints import CheckpointError, replace_text
from workbench.diffusion.assembly.assembled import Assembled
from workbench.diffusion.assembly.course import Course
from workbench.diffusion.assembly.judging import SAMPLER, STEPS, held_out_loss
from workbench.diffusion.assembly.plan import Plan
from workbench.diffusion.assembly.precision import Precision
from workbench.diffusion.assembly.presets import PRESETS, Preset
from workbench.diffusion.assembly.probes import study_of
from workbench.diffusion.assembly.students import TEACHER, Student
from workbench.diffusion.assembly.switched import Switched
from workbench.diffusion.assembly.transform import with_unet
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FullSampling
from workbench.diffusion.pipeline import Pipeline
from workbench.home import keep_compiled
from workbench.measure import intervals
from workbench.progress import Bar, Report, Throttled
from workbench.runs import Store
from workbench.study import Comparison, Method, compare

MODULE = "workbench.diffusion.assembly.study"
PICTURES, ROUNDS, SWITCH = 120, 7, STEPS // 2
PAIR = (Student("tiny", experts=4), Student("tiny"))
"""Experts and plain kernels, at equal updates."""


def compositions(presets: Sequence[Preset] = PRESETS, *, experts: bool = True) -> list[Method]:
    """What is compared, the teacher's full run first; names say what each is."""
    plans: dict[str, Method] = {
        "encoder propagation": EncoderPropagation(key_steps="uniform", interval=2),
        "feature inheritance": FeatureInheritance(interval=2),
    }
    found: list[Method] = [_named(FullSampling(), "teacher")]
    found += [_named(plan, f"teacher, {name}") for name, plan in plans.items()]
    found += [_named(_in(name), f"teacher, {name}") for name in ("bfloat16", "int8")]
    for preset in presets:
        student = Assembled(preset=preset)
        found.append(_named(student, preset))
        for name, plan in plans.items():
            found.append(_named(student.then(plan), f"{preset}, {name}"))
    last = Assembled(preset=presets[-1])
    found.append(_named(last.then(_in("bfloat16")), f"{presets[-1]}, bfloat16"))
    whole = last.then(_in("int8"))
    found.append(_named(whole, f"{presets[-1]}, int8"))
    for name, plan in plans.items():
        found.append(_named(whole.then(plan), f"{presets[-1]}, int8, {name}"))
    switched = Switched(preset=presets[-1], switch=SWITCH)
    label = f"{presets[-1]} for {SWITCH} steps, then teacher"
    found.append(_named(switched, label))
    name, plan = next(iter(plans.items()))
    found.append(_named(switched.then(plan), f"{label}, {name}"))
    if experts:
        found.append(_named(Assembled(preset="tiny", experts=4), "tiny with 4 experts"))
    return found


def _named(method: Method, name: str) -> Method:
    named = copy(method)
    named.name = name
    return named


def _in(stored: Any) -> Method:
    return Precision(stored=stored)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument."""
    given = _parser().parse_args(arguments)
    keep_compiled()
    bar = Bar("assembly study")
    report = Throttled(bar, 0.5)
    try:
        teacher = Pipeline.load(shipped.path(TEACHER)).with_sampling(sampler=SAMPLER, steps=STEPS)
        study = study_of(teacher, range(given.pictures))
        found = compare(compositions(), study, repeats=given.rounds, report=report)
    except (CheckpointError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        bar.close()
    pairs = experts_against_plain(teacher, given.training_seeds, Store(given.store), report)
    write(found, pairs, given)
    for name in found.others:
        print(found.verdict(name).sentence)
    return 0


def experts_against_plain(
    teacher: Pipeline, seeds: int, store: Store, report: Report
) -> list[dict[str, Any]]:
    """Tiny with experts and without, each trained anew by seed for as many updates."""
    if seeds == 0:
        return []
    course = Course(teacher, replace(Plan(), seeds=tuple(range(seeds))), store, report)
    rows = []
    for seed in course.plan.seeds:
        row: dict[str, Any] = {"seed": seed}
        for student in PAIR:
            trained = course.trained(student, seed)
            pipeline = with_unet(teacher, trained.unet, student.name)
            row[student.name] = held_out_loss(pipeline, course.data)
            row[f"{student.name}.updates"] = trained.steps
            row[f"{student.name}.seconds"] = trained.seconds
        rows.append(row)
    return rows


def experts_verdict(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The paired difference of the errors, with its interval, in words."""
    ours, theirs = (student.name for student in PAIR)
    change = intervals.mean([row[ours] - row[theirs] for row in rows])
    means = {name: intervals.mean([row[name] for row in rows]).value for name in (ours, theirs)}
    word = "too few seeds to tell"
    if change.below(0.0):
        word = "experts are better"
    elif change.above(0.0):
        word = "plain kernels are better"
    elif change.known:
        word = "not told apart"
    return {
        "held_out_loss": means,
        "difference": [change.value, change.low, change.high],
        "seeds": len(rows),
        "verdict": (
            f"{ours} {means[ours]:.4f}, {theirs} {means[theirs]:.4f} on held-out pictures, "
            f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}) over {len(rows)} "
            f"training seeds: {word}."
        ),
    }


def write(found: Comparison, pairs: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Tables, their summary, and a card that says what they are and what they say."""
    import pandas as pd

    from workbench.measure import device

    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    # Numbers without each seed serve intervals that are in the summary already, and a composition's
    # settings stand in its code.
    trials = found.tables.trials
    kept = [n for n in trials.columns if not n.endswith(".without") and not n.startswith("knob.")]
    columns = {name: one for name, one in found.tables.columns.items() if name in kept}
    replace(found.tables, trials=trials[kept].round(6), columns=columns).save(folder)
    text = found.summary().to_csv(index=False, float_format="%.6g")
    replace_text(folder / "summary.csv", text)
    if pairs:
        text = pd.DataFrame(pairs).to_csv(index=False, float_format="%.6g")
        replace_text(folder / "experts.csv", text)
    macs = trials.groupby("method")["cost.macs"].first()
    words = f"python -m {MODULE} --pictures {given.pictures} --rounds {given.rounds}"
    words += f" --training-seeds {given.training_seeds}"
    about = {
        "study": "assembly",
        "command": words,
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "sampler": SAMPLER,
        "steps": STEPS,
        "pictures": given.pictures,
        "rounds": given.rounds,
        "noise": found.noise,
        "ours": "which layers of this teacher go, lengths of training, plans' intervals, the "
        "switch step, experts, and what is composed",
        "macs_against_teacher": {
            name: round(float(macs[name] / macs["teacher"]), 4) for name in found.tables.methods
        },
        "verdicts": {
            name: {"word": one.word, "sentence": one.sentence}
            for name in found.others
            for one in [found.verdict(name)]
        },
        "experts": experts_verdict(pairs) if pairs else None,
    }
    replace_text(folder / "card.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--out", type=Path, default=Path("digits-assembled-study"), help="folder of the tables")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--pictures", type=int, default=PICTURES, help="of each composition, classes in turn")
    add("--rounds", type=int, default=ROUNDS, help="timed, at least 3")
    add("--training-seeds", type=int, default=3, help="of experts against plain; 0 for none")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
