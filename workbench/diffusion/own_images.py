"""Train a model of the shipped form on a folder of one's own images.

    python -m workbench.diffusion.own_images photos --size 32 --out my-model --minutes 30

Sub-folders are classes. Stopped by hand, by --minutes or by a crash, the same command goes on where
it stopped. How well a small model does on other images than digits was not measured here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from workbench.datasets import DatasetError, MixedColours, SmallPicture, image_folder
from workbench.diffusion.digits.augmentation import Augmentation
from workbench.diffusion.digits.recipe import UNET, UNET_RECIPE, DiffusionTask
from workbench.diffusion.digits.train import trained, write_model
from workbench.diffusion.fidelity import SSIM_WINDOW

UNMOVED = Augmentation(turn=0, shift=0, stretch=0)


def main(arguments: list[str] | None = None) -> int:
    """The command; 2 where the images cannot be taken."""
    given = _parser().parse_args(arguments)
    # Smaller pictures train, but the lab could not tell how like the full run's they are.
    stride, least = UNET.stride, SSIM_WINDOW
    if given.size < least or given.size % stride:
        needed = f"--size must be a multiple of {stride}, {least} or more"
        print(f"{needed}. You gave {given.size}", file=sys.stderr)
        return 2
    try:
        data = image_folder(given.images, given.size)
    except SmallPicture as error:
        print(f"{error.what}; take a smaller --size", file=sys.stderr)
        return 2
    except MixedColours as error:
        print(f"{error.what}; keep one of the two kinds", file=sys.stderr)
        return 2
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    channels = data.train.images.shape[-1]
    sizes = {"sample_size": given.size, "in_channels": channels, "out_channels": channels}
    config = UNET.model_copy(update=sizes)
    recipe = UNET_RECIPE.model_copy(update={"steps": given.steps})
    task = DiffusionTask(recipe, config, data, UNMOVED)
    run = given.runs / f"images-{data.fingerprint[:12]}"
    learnt = trained(task, recipe, run, given.minutes)
    write_model(task, learnt.weights, given.out)
    print(json.dumps({"out": str(given.out), "classes": task.classes, **learnt.facts}, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workbench.diffusion.own_images")
    parser.add_argument("images", type=Path, help="folder of images, a class per sub-folder")
    parser.add_argument("--size", type=int, default=32, help="side of the pictures, pixels")
    parser.add_argument("--out", type=Path, default=Path("my-model"), help="what is written")
    parser.add_argument("--steps", type=int, default=UNET_RECIPE.steps, help="updates")
    parser.add_argument("--minutes", type=float, help="stop after so many; run again to go on")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of training runs")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
