"""Models that a panel has loaded: each once, with what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.labs.diffusion.generation import Preview
from workbench.labs.diffusion.images_form import DRAWING, method_of
from workbench.labs.diffusion.own_checkpoint import checkpoint
from workbench.labs.diffusion.room import Room, room_of
from workbench.measure.memory import available_bytes
from workbench.panels.view import Values
from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.diffusion.arithmetic import UnitCosts
    from workbench.diffusion.part_costs import PartUse
    from workbench.diffusion.pipeline import Pipeline

Key = tuple[str, str, str]


class Shelf:
    """The model given, or the last one named by a path, which takes the place of the one before.

    Args:
        given: used where no path is named; the shipped digits when None.
        free: asks the device for its free bytes.
    """

    def __init__(
        self,
        given: Pipeline | None = None,
        free: Callable[[], float | None] = available_bytes,
    ) -> None:
        self.given, self.free = given, free
        self.failures: dict[Key, str] = {}
        self._key: Key | None = None
        self._loaded: Pipeline | None = None
        self._costs: dict[tuple[str, str], UnitCosts] = {}
        self._uses: dict[tuple[str, str], dict[str, PartUse]] = {}
        self._previews: dict[str, Preview] = {}

    @staticmethod
    def key(knobs: Any) -> Key:
        """What names a loaded model: path, precision, tokenizer."""
        return (knobs.path, knobs.precision, knobs.tokenizer) if knobs.path else ("", "", "")

    def known(self, knobs: Any) -> Pipeline | None:
        """The model of these settings, if it is there."""
        if not knobs.path and self.given is not None:
            return self.given
        return self._loaded if self._key == self.key(knobs) else None

    def load(self, knobs: Any, report: Report) -> Pipeline:
        """The model of these settings, read if need be.

        Raises:
            CheckpointError: what is wrong with it; kept, so that the form can say it too.
        """
        found = self.known(knobs)
        if found is not None:
            return found
        key = self.key(knobs)
        report(0, 1, f"Loading {knobs.path or 'the shipped digits'}")
        # The one before goes first: two may not fit.
        self._loaded, self._key = None, None
        try:
            self._loaded = _read(knobs)
        except ValueError as error:
            self.failures[key] = str(error).splitlines()[0]
            raise
        self._key = key
        self.failures.pop(key, None)
        return self._loaded

    def count(self, pipeline: Pipeline, report: Report) -> None:
        """Operations and bytes of the model's pieces, once; with its parts beside the UNet."""
        if _held(pipeline) not in self._costs:
            from workbench.diffusion.costs import unit_costs

            report(0, 1, "Counting the operations")
            self._uses[_held(pipeline)] = pipeline.costs()
            self._costs[_held(pipeline)] = unit_costs(pipeline.shape)

    def preview(self, pipeline: Pipeline, report: Report) -> Preview:
        """What turns a sample on its way into a small picture."""
        if pipeline.vae is None:
            return _as_pixels
        if pipeline.weights_hash not in self._previews:
            from workbench.diffusion.images import LatentColours

            report(0, 1, "Fitting the preview")
            self._previews[pipeline.weights_hash] = LatentColours.of(pipeline.vae)
        return self._previews[pipeline.weights_hash]

    def bytes(self, pipeline: Pipeline) -> dict[str, int]:
        """Bytes of the weights of each part."""
        uses = self._uses.get(_held(pipeline), {})
        return {name: use.weights for name, use in uses.items()}

    def room(self, pipeline: Pipeline, values: Values) -> Room | None:
        """Memory of a run with these settings; None before the model's pieces are counted."""
        costs = self._costs.get(_held(pipeline))
        if costs is None:
            return None
        drawing: Any = values[DRAWING]
        method = method_of(values)
        planned = pipeline if method is None else method.outline(pipeline)
        known = sum(self.bytes(pipeline).values())
        return room_of(
            planned,
            costs,
            pictures=min(drawing.at_once, drawing.count),
            area=self._area(pipeline),
            weights=known,
            free=self.free(),
        )

    def _area(self, pipeline: Pipeline) -> float:
        """Size of a picture against that of the model's own, at which its pieces were counted."""
        own = pipeline.config.sample_size
        height, width = own if isinstance(own, tuple) else (own, own)
        now = pipeline.sample_shape
        return now[0] * now[1] / ((height or now[0]) * (width or now[1]))

    def macs(self, pipeline: Pipeline, values: Values) -> dict[str, float]:
        """Multiply-accumulates of each part for one picture, under the plan of these settings.

        Counts anew at a size that was not counted before, which takes seconds.
        """
        method = method_of(values)
        planned = pipeline if method is None else method.outline(pipeline)
        return {name: use.macs for name, use in planned.costs().items()}


def _held(pipeline: Pipeline) -> tuple[str, str]:
    """Names weights and how they are stored, which changes their bytes."""
    return pipeline.weights_hash, pipeline.precision.name


def _as_pixels(samples: np.ndarray) -> np.ndarray:
    """Samples that are pictures already, from [-1, 1]."""
    return np.rint(255 * np.clip((samples + 1) / 2, 0, 1)).astype(np.uint8)


def _read(knobs: Any) -> Pipeline:
    tokenizer = knobs.tokenizer or None
    found = checkpoint(knobs.path, dtype=knobs.precision, tokenizer=tokenizer)
    if found is not None:
        return found
    from workbench.labs.diffusion.sampling_study import pipeline

    return pipeline()
