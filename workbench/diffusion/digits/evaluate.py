"""Judge the shipped model on samples it draws now, and write down what was found.

python -m workbench.diffusion.digits.evaluate --samples 1000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from workbench.datasets import digits
from workbench.diffusion.classifier import load_classifier
from workbench.diffusion.digits.card import write_card, write_json
from workbench.diffusion.digits.judge import judge
from workbench.diffusion.driver import sample
from workbench.diffusion.pipeline import Pipeline
from workbench.measure.device import describe
from workbench.shipped import path

BATCH = 50


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where the model is below the mark."""
    given = _parser().parse_args(arguments)
    folder = given.folder or path("data/digits-unet")
    pipeline = Pipeline.load(folder).with_sampling(
        steps=given.steps, guidance=given.guidance, sampler=given.sampler
    )
    began = time.perf_counter()
    images, labels = draw(pipeline, given.samples, given.seed)
    seconds = time.perf_counter() - began
    size = pipeline.sample_shape[0]
    judgement = judge(images, labels, digits(size), load_classifier(folder / "classifier"))
    command = (
        f"python -m workbench.diffusion.digits.evaluate --samples {given.samples} --sampler "
        f"{given.sampler} --steps {given.steps} --guidance {given.guidance:g} --seed {given.seed}"
    )
    facts = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "device": describe().label(),
        "sampling_seconds": round(seconds, 1),
        "weights": pipeline.weights_hash,
        "features": f"penultimate layer of the shipped classifier, {size}×{size} digits",
        **judgement.as_json(),
    }
    write_json(facts, given.out or folder / "evaluation.json")
    if given.out is None:
        write_card(folder)
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    return 1 if judgement.faults() else 0


def draw(
    pipeline: Pipeline, count: int, seed: int = 0
) -> tuple[Float[np.ndarray, "N H W C"], Int[np.ndarray, " N"]]:
    """`count` samples in [0, 1], classes in turn, in batches of one size."""
    images, labels = [], []
    for seeds in _batches(count, seed):
        inputs = pipeline.inputs(seeds, tuple(s % pipeline.tokens.classes for s in seeds))
        images.append(np.asarray(sample(pipeline, inputs)["image"]))
        labels.append(np.asarray(inputs.labels))
    return np.concatenate(images)[:count], np.concatenate(labels)[:count]


def _batches(count: int, seed: int) -> Iterator[tuple[int, ...]]:
    for start in range(0, count, min(BATCH, count)):
        first = seed * 1_000_000 + start
        yield tuple(range(first, first + min(BATCH, count)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workbench.diffusion.digits.evaluate")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--sampler", default="dpm++", help="ddim, ddpm or dpm++")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="model to judge; the shipped one by default")
    parser.add_argument("--out", type=Path, help="JSON written; evaluation.json beside the weights")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
