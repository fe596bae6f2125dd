"""Networks as methods, so that `workbench.compare` times them against each other.

Nothing is judged but cost: the networks have fresh weights, and their answers mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.labs.vision import families
from workbench.measure.cost import Cost
from workbench.progress import Report, silent
from workbench.study.knobs import Knobs as BaseKnobs
from workbench.study.knobs import knob
from workbench.study.method import Method
from workbench.study.study import Study

CHANNELS = 3


@dataclass(frozen=True)
class Pictures:
    """Square pictures of noise.

    Args:
        pixels: of a side.
    """

    pixels: int

    @property
    def name(self) -> str:
        """With the size."""
        return f"pictures of {self.pixels} pixels"

    @property
    def fingerprint(self) -> str:
        """The size is all there is."""
        return f"noise {self.pixels}"

    def draw(self, seeds: tuple[int, ...]) -> np.ndarray:
        """[seeds, H, W, C], float32."""
        shape = (self.pixels, self.pixels, CHANNELS)
        drawn = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds]
        return np.stack(drawn)


class Network(Method):
    """A network with its batch norms folded, as published or with groups of one size.

    Args:
        architecture: its name, such as "mobilenetv1_100".
        group_size: channels of a group in every spatial convolution; 0 as published.
    """

    name = "Network"
    kind = "model"

    class Knobs(BaseKnobs):
        """Which network."""

        architecture: str = knob("mobilenetv2_100", label="Network", help="timm’s name.")
        group_size: int = knob(
            0, ge=0, le=1024, label="Group size", unit="channels",
            help="Of every spatial convolution; 0 as published, 1 is depthwise.",
            source="E2GC, arXiv 2006.15100",
        )  # fmt: skip

    def __init__(self, architecture: str = "mobilenetv2_100", *, group_size: int = 0):
        super().__init__(architecture=architecture, group_size=group_size)
        table = families.name(architecture)
        self.name = f"{table}, groups of {group_size}" if group_size else table

    def table(self) -> Any:
        """The network's table.

        Raises:
            ValueError: a name that is not known, or a group size that does not divide channels.
        """
        from workbench import vision

        found = vision.published(self.knobs.architecture)
        size = self.knobs.group_size
        return vision.constant_group_size(found, size) if size else found

    def predict(self, subject: Any) -> Cost:
        """Multiply-accumulates and bytes of one picture, every layer its own kernel."""
        from workbench.vision.efficiency.counting import layers_of

        layers = layers_of(self.table(), size=subject.pixels)
        return Cost(
            macs=sum(layer.macs for layer in layers),
            bytes_moved=sum(layer.bytes_moved() for layer in layers),
        )

    def prepare(self, subject: Any, seed: int = 0, report: Report = silent) -> Any:
        """The network, ready to be called on pictures."""
        import jax
        from flax import nnx

        from workbench.vision.latency import ready

        graph, weights = nnx.split(ready(self.table()))
        call = jax.jit(lambda weights, x: nnx.merge(graph, weights)(x))
        return lambda pictures: {"logits": call(weights, pictures)}


def study(*, pixels: int = 224, batch: int = 1, seeds: int | None = None) -> Study:
    """What networks are compared on: pictures of noise.

    Args:
        pixels: of a picture's side.
        batch: pictures in a timed call.
        seeds: pictures in all; one batch where none is given.

    Raises:
        ValueError: fewer than one of any.
    """
    for name, value in (("pixels", pixels), ("batch", batch), ("seeds", seeds or batch)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    subject = Pictures(pixels)
    return Study(
        name="convnets",
        subject=subject,
        inputs=subject.draw,
        seeds=tuple(range(seeds or batch)),
        probes=(),
        batch=batch,
        data=subject.fingerprint,
    )
