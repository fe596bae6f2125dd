"""4x against 8x: reconstruction and one-step super-resolution of pages and photographs.

    python -m workbench.diffusion.super_resolution.study --out data/super-resolution-study

An 8x autoencoder and a diffusion model of its latents are trained once: they stand for given
weights (`--vae FOLDER` takes Stable Diffusion's). Each of three seeds then trains the 4x pair in
TVT's two stages, in both readings of stage 1; two 8x rivals through the same stages from the given
weights, one for as many updates and one for as many multiply-adds; and a one-step restorer on each,
the second rival's again for as many multiply-adds. All see the same pictures in the same order.
What is held out decides nothing but the result. Sizes, lengths and losses are ours.

By count that is about 80 T multiply-adds, told exactly at its start: 80 minutes at 8.5 G a second
on each of two cores. Stopped by hand or by `--minutes`, the same command goes on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.checkpoints import replace_text
from workbench.diffusion.checkpoint import load_vae
from workbench.diffusion.super_resolution.arithmetic import picture_cost
from workbench.diffusion.super_resolution.course import EQUAL, Course, Trained
from workbench.diffusion.super_resolution.forms import SD21, TVT_UNET, VAED4, VAED8
from workbench.diffusion.super_resolution.judging import (
    bicubic_rows,
    reconstruction_rows,
    restoration_rows,
    seconds_a_picture,
)
from workbench.diffusion.super_resolution.latent_space import compared
from workbench.diffusion.super_resolution.networks import Network
from workbench.diffusion.super_resolution.plan import Plan
from workbench.diffusion.super_resolution.restorer import Restorer
from workbench.diffusion.super_resolution.verdict import Verdict, summary, verdicts
from workbench.home import keep_compiled
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.runs import Store

MODULE = "workbench.diffusion.super_resolution.study"
MACS_A_SECOND = 8.5e9
"""Of a core in training, as convolutions of this size reached it here."""
FOUR, BICUBIC = "4×", "bicubic"
EIGHT = {equal: f"8×, equal {equal}" for equal in EQUAL}


@dataclass
class Found:
    """What a study knows so far.

    Attributes:
        quality: a row for each arm, seed, task and kind of picture.
        effort: a row for each arm and seed: updates, multiply-adds, seconds.
        latents: a row for each reading and seed.
        seconds: of one picture restored, by arm.
    """

    quality: list[dict[str, Any]] = field(default_factory=list)
    effort: list[dict[str, Any]] = field(default_factory=list)
    latents: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    def verdicts(self) -> list[Verdict]:
        """4x against each rival, as far as both are known."""
        arms = {row["arm"] for row in self.quality}
        return [
            one
            for rival in EIGHT.values()
            if FOUR in arms and rival in arms
            for one in verdicts(self.quality, FOUR, rival)
        ]


def run(course: Course, found: Found, seed: int) -> None:
    """Everything of one seed, added to what is known."""
    plan, pictures, base = course.plan, course.pictures, course.base.network

    def add(arm: str, trained: Trained, task: str, rows: list[dict[str, Any]]) -> None:
        about = {"arm": arm, "seed": seed}
        found.quality += [{**about, **row} for row in rows]
        found.effort.append(
            {
                **about,
                "task": task,
                "updates": trained.steps,
                "macs": trained.macs,
                "seconds": trained.seconds,
                **{f"loss.{part}": loss for part, loss in trained.errors.items()},
            }
        )

    for reading in plan.readings:
        trained = course.transferred(seed, reading)
        arm = FOUR if reading == plan.readings[0] else f"{FOUR}, {reading} enlarged"
        rows = reconstruction_rows(trained.network, pictures)
        add(arm, trained, "autoencoder", rows)
        for held_out in pictures.held_out:
            row = compared(base, trained.network, held_out.sharp).as_row()
            found.latents.append({"reading": reading, "seed": seed, "kind": held_out.kind, **row})
    restorers: dict[str, Restorer] = {}
    for equal in (None, *EQUAL):
        vae, unet = course.restorer(seed, equal)
        arm = FOUR if equal is None else EIGHT[equal]
        if equal is not None:
            add(arm, vae, "autoencoder", reconstruction_rows(vae.network, pictures))
        restorers[arm] = Restorer(vae.network, unet.network)
        add(arm, unet, "restorer", restoration_rows(restorers[arm], pictures))
    if not found.seconds:
        found.seconds = seconds_a_picture(restorers, pictures)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    plan = Plan().tiny() if given.tiny else Plan()
    plan = replace(plan, seeds=tuple(range(given.seeds)))
    bar, found, stopped = Bar(plan.name), Found(), ""
    deadline = Deadline(given.minutes, Throttled(bar, 0.5))
    try:
        vae = None if given.vae is None else Network.of(load_vae(given.vae))
        course = Course(plan, Store(given.store), deadline, vae)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    keep_compiled()
    command = f"python -m {MODULE}" + (" --tiny" if given.tiny else "")
    if given.vae is not None:
        command += f" --vae {given.vae}"
    try:
        if not given.tiny:
            print(expected(course), file=sys.stderr)
        found.quality += [{"arm": BICUBIC, "seed": -1, **r} for r in bicubic_rows(course.pictures)]
        for seed in plan.seeds:
            run(course, found, seed)
            write(course, found, given.out, command)
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    finally:
        bar.close()
    for one in found.verdicts():
        print(one.sentence)
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    return 0


def expected(course: Course) -> str:
    """How much a study computes, and how long that takes at the rate of `MACS_A_SECOND`."""
    macs = course.planned_macs()
    minutes = macs / (2 * MACS_A_SECOND) / 60
    return f"{macs / 1e12:.1f} T multiply-adds, about {minutes:.0f} min on 2 idle cores"


def write(course: Course, found: Found, folder: Path, command: str) -> None:
    """Tables, and a card that says what they are and what they say."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("quality", "effort", "latents"):
        text = pd.DataFrame(getattr(found, name)).to_csv(index=False, float_format="%.6g")
        replace_text(folder / f"{name}.csv", text)
    text = json.dumps(card(course, found, command), indent=1, ensure_ascii=False)
    replace_text(folder / "card.json", text + "\n")


def card(course: Course, found: Found, command: str) -> dict[str, Any]:
    """Command, plan, costs of a picture at both sizes, effort, device and verdicts."""
    from workbench.measure import device

    plan, base = course.plan, course.base
    done = {row["seed"] for row in found.effort}
    told = found.verdicts()
    shared = base.seconds + course.teacher.seconds
    return {
        "study": plan.name,
        "command": command,
        "finished": done == set(plan.seeds),
        "seeds": list(plan.seeds),
        "knobs": course.pictures.knobs.model_dump(mode="json"),
        "plan": {
            name: value
            for name, value in vars(plan).items()
            if isinstance(value, int | float | str)
        },
        "given_vae": course.given is not None,
        "scaling_factor": getattr(base.network.config, "scaling_factor", None),
        "macs_a_picture": costs(plan),
        "seconds_a_picture": found.seconds,
        "training_seconds": round(shared + sum(row["seconds"] for row in found.effort), 1),
        "device": device.label(),
        "date": datetime.date.today().isoformat(),
        "summary": [
            summary([one for one in told if one.second == rival])
            for rival in EIGHT.values()
            if any(one.second == rival for one in told)
        ],
        "verdicts": [one.sentence for one in told],
    }


def costs(plan: Plan) -> dict[str, dict[str, float]]:
    """Multiply-adds of one picture by part, of the small pair and of the full-size one."""
    side = plan.side
    return {
        f"4×, {side} px": vars(picture_cost(plan.vae4, plan.unet4, side, side)),
        f"8×, {side} px": vars(picture_cost(plan.vae8, plan.unet8, side, side)),
        "4×, full size, 512 px": vars(picture_cost(VAED4, TVT_UNET, 512, 512)),
        "8×, full size, 512 px": vars(picture_cost(VAED8, SD21, 512, 512)),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--out", type=Path, default=Path("super-resolution-study"), help="folder of the tables")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--seeds", type=int, default=len(Plan().seeds), help="how many")
    add("--vae", type=Path, default=None, help="folder of an 8x autoencoder to begin with")
    add("--tiny", action="store_true", help="a few updates, to see that it works")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
