"""What was recorded with the shipped models and ships with them: texts, gates, curves, weights.

`python -m workbench.labs.language.record` writes these files anew.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import shipped
from workbench.figures import numbers
from workbench.labs.language.decode_form import Writing
from workbench.labs.language.gate_memory import Gates
from workbench.labs.language.recall_run import Recalled
from workbench.labs.language.shelf import FOLDER

if TYPE_CHECKING:
    from workbench.language.ternary_report import MatrixReport


@dataclass(frozen=True)
class RecordedText:
    """Texts that were written with some settings.

    Attributes:
        written: the fields of `decode_run.Written`, a model each.
        device, date: where and when.
    """

    written: Sequence[Mapping[str, Any]]
    device: str
    date: str


def text(knobs: Writing, names: Sequence[str]) -> RecordedText | None:
    """What these models wrote with these settings; None where that was not recorded."""
    found = read("texts.json")
    if found is None:
        return None
    for one in found["texts"]:
        if Writing(**one["settings"]) == knobs:
            written = [w for w in one["written"] if w["name"] in names]
            if len(written) == len(names):
                ordered = sorted(written, key=lambda w: list(names).index(w["name"]))
                return RecordedText(ordered, found["device"], found["date"])
    return None


@dataclass(frozen=True)
class RecordedGates:
    """Gates of a model on a text, and where and when they were computed."""

    gates: Gates
    device: str
    date: str


def gates(name: str, text: str) -> RecordedGates | None:
    """The gates of a shipped model on a text; None where that was not recorded."""
    found = read("gates.json")
    if found is None or found["text"] != text or name not in found["models"]:
        return None
    return RecordedGates(Gates.of_record(found["models"][name]), found["device"], found["date"])


@dataclass(frozen=True)
class RecordedCurves:
    """Training runs, side by side: the fields of `train_shown.Curve`, a run each."""

    rows: Sequence[Mapping[str, Any]]
    text_bytes: int
    device: str
    date: str


def curves(values: Mapping[str, Any]) -> RecordedCurves | None:
    """The runs of these settings; None where they were not recorded."""
    found = read("curves.json")
    if found is None:
        return None
    settings = {group: knobs.model_dump(mode="json") for group, knobs in values.items()}
    for one in found["studies"]:
        if one["settings"] == settings:
            return RecordedCurves(one["runs"], found["text_bytes"], found["device"], found["date"])
    return None


WIDTH = 64
"""Of the models of the shipped recall study."""


@dataclass(frozen=True)
class RecordedRecall:
    """The shipped recall study."""

    rows: Sequence[Recalled]
    device: str
    date: str


def recall() -> RecordedRecall | None:
    """The shipped recall study; None where there is none."""
    found = study("recall")
    if found is None:
        return None
    rows, card = found
    read = [
        Recalled(
            str(row["name"]), int(row["pairs"]), WIDTH, float(row["state"]), int(row["seed"]),
            float(row["accuracy"]), float(row["seconds"]),
        )
        for row in rows
    ]  # fmt: skip
    return RecordedRecall(read, str(card["device"]), str(card["date"]))


@dataclass(frozen=True)
class Measured:
    """A figure of a benchmark, with the ends of its spread where it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def spread(self) -> str:
        """Its ends in words."""
        if self.low is None or self.high is None:
            return ""
        return f"{numbers.number(self.low)}–{numbers.number(self.high)}"


@dataclass(frozen=True)
class Benchmarked:
    """Figures of a benchmark by their names, and the command, place and day."""

    figures: Mapping[str, Measured]
    command: str
    device: str
    date: str


def benchmarked(name: str) -> Benchmarked | None:
    """The benchmark of "training" or "decoding" with ternary weights; None where none ships."""
    found = read("ternary.json")
    if found is None or name not in found["benchmarks"]:
        return None
    one = found["benchmarks"][name]
    figures = {key: Measured(*ends) for key, ends in one["figures"].items()}
    return Benchmarked(figures, one["command"], one["device"], one["date"])


def matrices(name: str) -> Sequence[MatrixReport] | None:
    """Shares, errors and histograms of a shipped model's matrices; None if not recorded."""
    import numpy as np

    from workbench.language.ternary_report import MatrixReport

    found = read("ternary.json")
    if found is None or name not in found["models"]:
        return None
    return [
        MatrixReport(**{
            **one, "shape": tuple(one["shape"]), "shares": tuple(one["shares"]),
            "counts": np.array(one["counts"]),
        })
        for one in found["models"][name]
    ]  # fmt: skip


@functools.cache
def study(name: str) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """Rows and card of a shipped study; None where there is none."""
    import pandas as pd

    try:
        place = shipped.path(f"{FOLDER}/{name}")
    except FileNotFoundError:
        return None
    if not (place / "runs.csv").read_text(encoding="utf-8").strip():
        return None  # begun, and nothing finished yet
    rows = pd.read_csv(place / "runs.csv", encoding="utf-8").to_dict("records")
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    return [{str(k): v for k, v in row.items()} for row in rows], card


@functools.cache
def read(name: str) -> dict[str, Any] | None:
    """A recorded file by its name; None where it does not ship."""
    try:
        place = shipped.path(f"{FOLDER}/{name}")
    except FileNotFoundError:
        return None
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found
