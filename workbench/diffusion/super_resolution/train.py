"""Train the small pair of autoencoders and a one-step restorer over each, and write their folder.

    python -m workbench.diffusion.super_resolution.train --out data/super-resolution

The 8x autoencoder (`--vae FOLDER` takes one there is), the 4x one in TVT's two stages, the
diffusion model of the 8x latents, the 4x UNet that restores in one step; and beside them what an 8x
pair makes of as many multiply-adds. `load_restorer` reads `4x` and `8x`. Stopped by hand, by
`--minutes` or by a crash, the same command goes on where it stopped; each part is written as soon
as it is trained.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from workbench.checkpoints import replace_text
from workbench.diffusion.checkpoint import load_vae, save_unet, save_vae
from workbench.diffusion.super_resolution.autoencoding import READINGS
from workbench.diffusion.super_resolution.course import Course, Trained
from workbench.diffusion.super_resolution.judging import (
    bicubic_rows,
    reconstruction_rows,
    restoration_rows,
)
from workbench.diffusion.super_resolution.latent_space import compared
from workbench.diffusion.super_resolution.networks import Network
from workbench.diffusion.super_resolution.plan import Plan
from workbench.diffusion.super_resolution.restorer import EIGHT, FOUR, UNET, VAE, Restorer
from workbench.diffusion.unet import UNetConfig
from workbench.home import keep_compiled
from workbench.progress import Bar, Cancelled, Deadline, Throttled
from workbench.runs import Store

MODULE = "workbench.diffusion.super_resolution.train"
BASE, TEACHER = "vae8", "teacher"
"""Folders of the networks that no restorer needs."""
PARTS = (BASE, f"{FOUR}/{VAE}", TEACHER, f"{FOUR}/{UNET}", f"{EIGHT}/{VAE}", f"{EIGHT}/{UNET}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when it is finished, 2 for a bad argument, 3 when it was stopped."""
    given = _parser().parse_args(arguments)
    plan = Plan().tiny() if given.tiny else Plan()
    bar, facts, stopped = Bar("tvt"), dict[str, Any](), ""
    deadline = Deadline(given.minutes, Throttled(bar, 0.5))
    try:
        vae = None if given.vae is None else Network.of(load_vae(given.vae))
        course = Course(plan, Store(given.store), deadline, vae, plan.updates(study=False))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    keep_compiled()
    try:
        for name, trained in _parts(course, given.seed, given.reading):
            _save(trained.network, given.out / name)
            facts[name] = {
                "parameters": trained.network.parameters,
                "updates": trained.steps,
                "macs": trained.macs,
                "seconds": round(trained.seconds, 1),
                "losses": trained.errors,
            }
            _write_facts(given, plan, facts)
        facts["held_out"] = _judged(course, given.seed, given.reading)
        _write_facts(given, plan, facts)
    except (Cancelled, KeyboardInterrupt) as reason:
        stopped = str(reason) or "stopped"
    finally:
        bar.close()
    if stopped:
        print(f"{stopped}; the same command goes on from here", file=sys.stderr)
        return 3
    print(json.dumps(facts["held_out"], indent=1, ensure_ascii=False))
    return 0


def _parts(course: Course, seed: int, reading: Any) -> Iterator[tuple[str, Trained]]:
    yield PARTS[0], course.base
    yield PARTS[1], course.transferred(seed, reading)
    yield PARTS[2], course.teacher
    yield PARTS[3], course.restorer(seed, None, reading)[1]
    vae, unet = course.restorer(seed, "multiply-adds")
    yield PARTS[4], vae
    yield PARTS[5], unet


def _judged(course: Course, seed: int, reading: Any) -> dict[str, Any]:
    """What both pairs make of held-out pictures, beside what they began with."""
    pictures, base = course.pictures, course.base.network
    vae, unet = course.restorer(seed, None, reading)
    rival, theirs = course.restorer(seed, "multiply-adds")
    return {
        "8×, before": reconstruction_rows(base, pictures),
        "8×": reconstruction_rows(rival.network, pictures),
        "4×": reconstruction_rows(vae.network, pictures),
        "latents": [
            {"kind": held_out.kind, **compared(base, vae.network, held_out.sharp).as_row()}
            for held_out in pictures.held_out
        ],
        "restored by 4×": restoration_rows(Restorer(vae.network, unet.network), pictures),
        "restored by 8×": restoration_rows(Restorer(rival.network, theirs.network), pictures),
        "bicubic": bicubic_rows(pictures),
    }


def _save(network: Network, folder: Path) -> None:
    """In half precision, half the bytes."""
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), network.weights)
    save = save_unet if isinstance(network.config, UNetConfig) else save_vae
    save(network.model(half), folder)


def _write_facts(given: argparse.Namespace, plan: Plan, facts: dict[str, Any]) -> None:
    from workbench.measure import device

    words = [f"python -m {MODULE}", f"--seed {given.seed}", f"--reading {given.reading}"]
    words += ["--tiny"] * given.tiny + ([] if given.vae is None else [f"--vae {given.vae}"])
    about = {
        "command": " ".join(words),
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "side": plan.side,
        "batch_size": plan.batch_size,
        **facts,
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    replace_text(given.out / "training.json", text + "\n")
    replace_text(given.out / "card.md", _card(about))


def _card(about: dict[str, Any]) -> str:
    lines = [
        "# A small 4x autoencoder in the latent space of an 8x one, and one-step restorers\n",
        "Trained by the two stages of TVT (arXiv 2507.20291) at a size for a CPU. Sizes, lengths, "
        "the degradation's numbers and the feature loss in place of LPIPS are ours.\n",
        "- Data: halved crops of scikit-image's and scikit-learn's photographs (`chelsea` and "
        "`flower` held out), and pages of the standard library's English in Pillow's font (a "
        "tenth of its files held out).",
        f"- Command: `{about['command']}`",
        f"- {about['device']}, {about['date']}; pictures of {about['side']} pixels, "
        f"{about['batch_size']} an update",
        "- Layout: diffusers (`vae`, `unet`); weights in half precision, computed in float32; "
        "judged before they were halved",
    ]
    for name in PARTS:
        if name in about:
            one = about[name]
            lines.append(
                f"- `{name}`: {one['parameters']:,} parameters, {one['updates']:,} updates, "
                f"{one['macs'] / 1e12:.2f} T multiply-adds, {one['seconds'] / 60:.1f} minutes"
            )
    for name, rows in about.get("held_out", {}).items():
        for row in rows:
            values = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float))
            lines.append(f"- Held out, {name}, {row['kind']}: {values}")
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    add = parser.add_argument
    add("--out", type=Path, default=Path("super-resolution"), help="folder that is written")
    add("--store", type=Path, default=None, help="store of the runs; yours where left out")
    add("--seed", type=int, default=0, help="of the transfer and the restorer")
    add("--reading", choices=READINGS, default=READINGS[0], help="what stage 1 enlarges")
    add("--minutes", type=float, default=None, help="stop after so many; then run again")
    add("--vae", type=Path, default=None, help="folder of an 8x autoencoder to begin with")
    add("--tiny", action="store_true", help="a few updates, to see that it works")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
