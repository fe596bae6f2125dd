"""Ternary weights: their sizes in each format, what rounding costs, what training holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.labs.language import recorded, ternary_claim
from workbench.labs.language import ternary_shown as shown
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.shelf import Shelf, books
from workbench.labs.language.ternary_memory import DECIDES, TrainingMemory, training_memory
from workbench.labs.language.ternary_shown import PUBLISHED, SLOT
from workbench.measure import device
from workbench.panels.panel import Panel
from workbench.panels.picture import ChartContent, Content, EmptyContent, Picture
from workbench.panels.view import KnobGroup, Preset, Problem, Slot, Values
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.language.ternary_report import MatrixReport

SIZES, MODEL, TRAINING = "sizes", "model", "training"


class Sizes(Knobs):
    """A published model, whose size follows from its shape."""

    model: Literal["370m", "1.3b", "2.7b"] = knob(
        "370m", label="Published", choices={key: one[0] for key, one in PUBLISHED.items()},
        help="The MatMul-free model whose sizes are drawn.", source="MatMul-free LM, table 1",
    )  # fmt: skip


class Training(Knobs):
    """What is compiled to see what training holds."""

    layers: int = knob(
        2, ge=1, le=24, label="Layers", paper=24, static=True,
        help="Of width 1024. The whole model has 24 and compiles for minutes.",
    )  # fmt: skip
    batch: int = knob(
        1, ge=1, le=16, label="Batch", static=True, help="Texts of an update.",
    )  # fmt: skip
    tokens: int = knob(
        1024, ge=64, le=4096, scale="log", label="Tokens", static=True, help="Of each text.",
    )  # fmt: skip


PRESETS = (
    Preset("370 M: sizes, and two layers in training", {SIZES: {"model": "370m"}}),
    Preset("1.3 B in each format", {SIZES: {"model": "1.3b"}}),
    Preset(
        "All 24 layers of 370 M in training",
        {
            SIZES: {"model": "370m"},
            TRAINING: dict(zip(("layers", "batch", "tokens"), DECIDES, strict=True)),
        },
    ),
)


def ternary(
    *checkpoints: str | Path, settings: Mapping[str, Mapping[str, Any]] | str | None = None
) -> Panel:
    """The panel of ternary weights.

    Args:
        checkpoints: folders or hub names of MatMul-free LM; shipped ternary models where none.
        settings: what "Copy settings" gave.

    Raises:
        CheckpointError, ValueError: a folder whose configuration cannot be read, or no ternary one.
    """
    return Panel(TernaryView(checkpoints), settings=settings)


class TernaryView(LanguageView):
    """Sizes by formula; histograms and errors of a checkpoint; memory of training, compiled.

    Args:
        checkpoints: see `ternary`.
    """

    title = "Ternary weights"
    opener = "ternary"
    verb = "Look and compile"
    presets = PRESETS
    layout = (
        (Slot("decoding", "figures"),),
        (Slot("sizes", "chart", 1.1), Slot("histogram", "chart", 1.0)),
        (Slot("errors", "chart", 1.1), Slot("memory", "table", 1.0)),
    )

    def __init__(self, checkpoints: Sequence[str | Path] = ()) -> None:
        self.given_checkpoints = [str(source) for source in checkpoints]
        ternary_books = [
            one
            for one in books(checkpoints)
            if one.config is None or one.config.linears == "ternary"
        ]
        if checkpoints and not ternary_books:
            raise ValueError("None of these models has ternary weights")
        self.shelf = Shelf(ternary_books)
        names = list(self.shelf.books)
        self.study_line = ", ".join(names) if names else "Published sizes; no checkpoint opened"
        self.groups = (
            KnobGroup(SIZES, "Sizes", Sizes, method=SLOT), *_model_group(names),
            KnobGroup(TRAINING, "Training memory", Training),
        )  # fmt: skip
        self.layers: dict[str, list[MatrixReport]] = {}
        self.memory: dict[tuple[int, int, int], TrainingMemory] = {}

    def arguments(self) -> list[str]:
        """The checkpoints, as code."""
        return [repr(source) for source in self.given_checkpoints]

    def check(self, values: Values) -> list[Problem]:
        """A long compilation."""
        if _training(values).layers <= 6:
            return []
        return [Problem("warn", "layers", "Compiling takes minutes and several GB", TRAINING)]

    def predict(self, values: Values) -> Picture:
        """Sizes by formula; what was looked at before, or is recorded of a shipped model."""
        if self.memory.get(_setting(values)):
            return self._picture(values, "measured")
        if _name(values) in self.layers or self._recorded(values) is None:
            return self._picture(values, "predicted")
        known = recorded.benchmarked("training")
        shown_first = self._picture(values, "recorded")
        if known is None:
            return shown_first
        return replace(shown_first, when=known.date, device=known.device)

    def _recorded(self, values: Values) -> Sequence[MatrixReport] | None:
        name = _name(values)
        return recorded.matrices(name) if name and not self.given_checkpoints else None

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The checkpoint's matrices, then both forms compiled."""
        from workbench.language import ternary_report

        name = _name(values)
        if name and name not in self.layers:
            report(0, 1, f"Reading {name}")
            model, _ = self.shelf.model(name, text=False)
            self.layers[name] = ternary_report.report(model, progress=report)
            yield self._picture(values, "measured")
        setting = _setting(values)
        if setting not in self.memory:
            self.memory[setting] = training_memory(1024, *setting, report)
        yield self._picture(values, "measured")

    def _picture(self, values: Values, basis: Any) -> Picture:
        found = self.layers.get(_name(values)) or self._recorded(values) or ()
        memory = self.memory.get(_setting(values))
        words = (
            "Histograms and errors are of a checkpoint’s weights; run to read it."
            if _name(values)
            else 'No ternary checkpoint is open: language.ternary("my-model") opens one.'
        )
        contents: dict[str, Content] = {
            "sizes": ChartContent.of(shown.sizes(_shape(values))),
            "histogram": ChartContent.of(shown.histogram(found))
            if found
            else EmptyContent(shown.HISTOGRAM, words),
            "errors": ChartContent.of(shown.errors(found))
            if found
            else EmptyContent(shown.ERRORS, words),
        }  # fmt: skip
        training = recorded.benchmarked("training")
        if memory:
            contents["memory"] = shown.memory(memory)
        elif training:
            contents["memory"] = shown.recorded_memory(training)
        else:
            words = "Both forms of the layer are compiled, neither is run."
            contents["memory"] = EmptyContent(shown.MEMORY, words, self.verb)
        decoding = recorded.benchmarked("decoding")
        contents["decoding"] = (
            shown.decoding(decoding)
            if decoding
            else EmptyContent(shown.DECODING, "benchmarks/ternary_decode.py measures it.")
        )
        knobs = _training(values)
        setting = f"width 1024, {knobs.layers} layers, {knobs.batch} × {knobs.tokens} tokens"
        card = ternary_claim.card(
            decoding, training, memory.saving if memory else None, setting,
            decides=_setting(values) == DECIDES,
        )  # fmt: skip
        here = device.label() if basis == "measured" else ""
        return Picture(contents, claim=card, basis=basis, device=here)


def _model_group(names: Sequence[str]) -> tuple[KnobGroup, ...]:
    if not names:
        return ()
    kinds: dict[str, Any] = {
        "name": (Literal[tuple(names)], knob(names[0], label="Model", help="Whose weights."))
    }
    return (KnobGroup(MODEL, "Checkpoint", create_model("Model", __base__=Knobs, **kinds)),)


def _name(values: Values) -> str:
    return str(values[MODEL].model_dump()["name"]) if MODEL in values else ""


def _training(values: Values) -> Training:
    knobs = values[TRAINING]
    assert isinstance(knobs, Training), "the form has this group"
    return knobs


def _setting(values: Values) -> tuple[int, int, int]:
    knobs = _training(values)
    return knobs.layers, knobs.batch, knobs.tokens


def _shape(values: Values) -> str:
    knobs = values[SIZES]
    assert isinstance(knobs, Sizes), "the form has this group"
    return knobs.model
