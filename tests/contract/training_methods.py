"""A user's own methods: a small training run, and a transform of what it leaves.

They stand in a file of their own, as a user's would, so that their source names them.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workbench.datasets import digits
from workbench.measure.cost import Cost
from workbench.runs import Store
from workbench.study import Knobs, Method, Probe, Study, knob, silent
from workbench.training import Recipe, train

STEPS = 40
BATCHES: list[int] = []
"""Every step for which a batch was drawn: a run that is read back draws none."""


@cache
def data() -> tuple[Any, ...]:
    found = digits(8)
    pixels = [s.images.reshape(len(s.images), -1) for s in (found.train, found.test)]
    scaled = [p.astype(np.float32) / 255 for p in pixels]
    return scaled[0], found.train.labels, scaled[1], found.test.labels, found.fingerprint


@dataclass(frozen=True)
class Digits:
    """The subject: real digits to tell apart."""

    name: str = "digits, 8 × 8"

    @property
    def fingerprint(self) -> str:
        return data()[-1]


@dataclass(frozen=True)
class Classifier:
    """What training leaves; itself a subject for a transform."""

    weights: dict[str, Any]
    losses: np.ndarray = field(repr=False)
    name: str = "classifier"
    fingerprint: str = ""


def logits(weights: dict[str, Any], pixels: Any) -> Any:
    hidden = jax.nn.relu(pixels @ weights["first"])
    return hidden @ weights["second"]


class Task:
    """Tells digits apart with one hidden layer."""

    def __init__(self, width: int):
        self.width = width
        self.fingerprint = f"digits {data()[-1]} width {width}"

    def init(self, key: Any) -> Any:
        one, two = jax.random.split(key)
        return {
            "first": jax.random.normal(one, (64, self.width)) / 8,
            "second": jax.random.normal(two, (self.width, 10)) / np.float32(self.width**0.5),
        }

    def loss(self, params: Any, batch: Any, key: Any) -> Any:
        pixels, labels = batch
        chosen = jnp.take_along_axis(
            jax.nn.log_softmax(logits(params, pixels)), labels[:, None], axis=1
        )
        return -chosen.mean(), {}

    def batch(self, step: int) -> Any:
        BATCHES.append(step)
        pixels, labels = data()[:2]
        chosen = np.random.default_rng(step).integers(0, len(labels), 128)
        return pixels[chosen], labels[chosen]


def cost(width: int, bits: int) -> Cost:
    """Of telling all test digits apart once; rounded weights are sent small and used as floats."""
    weights, digits = float(width * 74), len(data()[3])
    return Cost(
        macs=weights * digits,
        bytes_moved=4 * (weights + 64.0 * digits),
        model_bytes=weights * bits / 8,
        basis="modelled",
    )


class SmallTraining(Method):
    """One hidden layer, trained for a few dozen steps."""

    name = "Small training"
    kind = "model"
    seeded = True
    version = "1"

    class Knobs(Knobs):
        width: int = knob(32, ge=1, le=256, unit="units", scale="log", paper=64)

    def predict(self, subject: Digits) -> Cost:
        return cost(self.knobs.width, bits=32)

    def outline(self, subject: Digits) -> Any:
        return Classifier({"width": self.knobs.width}, np.zeros(0))

    def prepare(self, subject: Digits, seed: int = 0, report: Any = silent) -> Classifier:
        recipe = Recipe(steps=STEPS, learning_rate=0.02, log_every=10, seed=seed)
        found = train(Task(self.knobs.width), recipe, report=report, store=Store())
        losses = found.history["loss"].to_numpy()
        return Classifier(found.params, losses)

    def apply(self, artifact: Classifier, inputs: Any) -> dict[str, Any]:
        answers = logits(artifact.weights, inputs).argmax(axis=-1)
        return {"answer": np.asarray(answers)[None], "loss": artifact.losses[None]}


class RoundWeights(Method):
    """Weights rounded to a few bits, each matrix with one step size."""

    name = "Round weights"
    kind = "transform"
    version = "1"

    class Knobs(Knobs):
        bits: int = knob(8, ge=1, le=16, unit="bits")

    def predict(self, subject: Classifier) -> Cost:
        return cost(subject.weights["width"], self.knobs.bits)

    def prepare(self, subject: Classifier, seed: int = 0, report: Any = silent) -> Classifier:
        levels = 2 ** (self.knobs.bits - 1)

        def rounded(values: Any) -> np.ndarray:
            values = np.asarray(values)
            step = np.abs(values).max() / levels
            return (np.round(values / step) * step).astype(np.float32)

        weights = {name: rounded(values) for name, values in subject.weights.items()}
        return Classifier(weights, subject.losses)


def accuracy(outcome: Any) -> np.ndarray:
    return 100 * (outcome.outputs["answer"] == data()[3][None]).mean(axis=1)


def study(seeds: Any = range(3)) -> Study:
    return Study(
        name="digits",
        subject=Digits(),
        inputs=lambda seeds: data()[2],
        seeds=tuple(seeds),
        probes=(
            Probe("accuracy", accuracy, "%", "higher", 1.0),
            Probe("loss", lambda o: o.outputs["loss"], level="series", axis="step"),
        ),
        data=data()[-1],
    )
