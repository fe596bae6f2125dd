"""Recorded trials: what the lab shows before anything has run here, with its device and date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workbench import shipped
from workbench.checkpoints import read_tensors
from workbench.labs.diffusion.facts import ModelFacts
from workbench.labs.diffusion.methods import BASELINE, DEFAULT, MethodClass, group_id
from workbench.labs.diffusion.points import Point, points_of
from workbench.study.comparison import Comparison
from workbench.study.tables import Tables

FOLDER = "data/diffusion-lab"


@dataclass(frozen=True)
class Recorded:
    """A finished study with its pictures and drift.

    Args:
        setting: sampler, steps and guidance of the study.
        device, date: where and when it was measured.
        knobs: form settings of each point, by its code: {code: {group: {field: value}}}.
        pictures: uint8 [seeds, H, W] by code.
        drift: relative change [blocks, steps] of the full run, step 0 NaN.
    """

    comparison: Comparison
    points: Mapping[str, Point]
    setting: Mapping[str, Any]
    device: str
    date: str
    knobs: Mapping[str, Mapping[str, Mapping[str, Any]]]
    pictures: Mapping[str, np.ndarray]
    drift: np.ndarray
    facts: ModelFacts

    @property
    def seconds(self) -> float:
        """Seconds per picture of the recorded baseline."""
        known = next(
            p.seconds for p in self.points.values() if p.method == self.comparison.baseline
        )
        assert known is not None, "the shipped study is timed"
        return known.value

    @cached_property
    def seeds(self) -> int:
        """Pictures per method."""
        return len(self.comparison.tables.rows(self.comparison.baseline))


@cache
def recorded(folder: str | None = None) -> Recorded:
    """The shipped study, or one that `record` wrote elsewhere."""
    place = Path(folder) if folder else shipped.path(FOLDER)
    about = json.loads((place / "lab.json").read_text(encoding="utf-8"))
    comparison = Comparison(Tables.load(place), about["baseline"])
    kinds: list[MethodClass] = [BASELINE, *DEFAULT]
    groups = {group_id(kind): kind.name for kind in kinds}
    names = {code: groups[next(iter(knobs))] for code, knobs in about["knobs"].items()}
    drift = read_tensors(place / "drift.safetensors")
    return Recorded(
        comparison=comparison,
        points=points_of(comparison, names, "recorded"),
        setting=about["setting"],
        device=about["device"],
        date=about["date"],
        knobs=about["knobs"],
        pictures=read_tensors(place / "pictures.safetensors"),
        drift=np.asarray(drift["relative"]),
        facts=ModelFacts.of_record(about["facts"]),
    )
