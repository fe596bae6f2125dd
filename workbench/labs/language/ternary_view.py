"""Ternary weights: their sizes in each format, what rounding costs, what training holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, ranges
from workbench.labs.language import claims
from workbench.labs.language.lab_view import LanguageView
from workbench.labs.language.shelf import Shelf, books
from workbench.labs.language.ternary_memory import DECIDES, TrainingMemory, training_memory
from workbench.measure import device
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    EmptyContent,
    Picture,
    TableContent,
)
from workbench.panels.view import KnobGroup, Preset, Problem, Slot, Values
from workbench.progress import Report
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    from workbench.language.ternary_report import MatrixReport

SIZES, MODEL, TRAINING = "sizes", "model", "training"
NAME, SLOT = "MatMul-free", 2

PUBLISHED = {
    "370m": ("370 M", 24, 1024, 2816),
    "1.3b": ("1.3 B", 24, 2048, 5632),
    "2.7b": ("2.7 B", 32, 2560, 6912),
}
"""Name, layers, width and feed-forward width of the published models; 32 000 tokens."""

VOCABULARY = 32000


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
        """Sizes by formula; what was looked at before."""
        known = bool(self.memory.get(_setting(values)))
        return self._picture(values, "measured" if known else "predicted")

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
        found = self.layers.get(_name(values), [])
        memory = self.memory.get(_setting(values))
        words = (
            "Histograms and errors are of a checkpoint’s weights; run to read it."
            if _name(values)
            else 'No ternary checkpoint is open: language.ternary("my-model") opens one.'
        )
        contents: dict[str, Content] = {
            "sizes": ChartContent.of(_sizes(_shape(values))),
            "histogram": ChartContent.of(_histogram(found))
            if found
            else EmptyContent("How are the weights spread?", words),
            "errors": ChartContent.of(_errors(found))
            if found
            else EmptyContent("What does rounding cost each layer?", words),
            "memory": _memory(memory)
            if memory
            else EmptyContent(
                "What does training hold?",
                "Both forms of the layer are compiled, neither is run.", self.verb,
            ),
        }  # fmt: skip
        knobs = _training(values)
        setting = f"Here: width 1024, {knobs.layers} layers, {knobs.batch} × {knobs.tokens} tokens."
        card = claims.training_memory(
            memory.saving if memory else None, setting, decides=_setting(values) == DECIDES
        )
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


def ternary_sizes(layers: int, width: int, inner: int) -> dict[str, int]:
    """Bytes in each format: of four projections and a GLU a layer, and of the head."""
    from workbench.language.ternary_report import FORMATS

    shapes = {
        (width, width): 4 * layers, (width, inner): 2 * layers, (inner, width): layers,
        (width, VOCABULARY): 1,
    }  # fmt: skip
    return {
        name: sum(count * size(*shape) for shape, count in shapes.items())
        for name, size in FORMATS.items()
    }


def _sizes(model: str) -> Chart:
    name, layers, width, inner = PUBLISHED[model]
    sizes = ternary_sizes(layers, width, inner)
    count = sizes["float32"] / 4
    rows = [
        {"group": label, "method": NAME, "mebibytes": size / 2**20, "predicted": True,
         "label": f"{label}, {numbers.number(8 * size / count)} bits"}
        for label, size in sizes.items()
    ]  # fmt: skip
    table = VOCABULARY * width * 2 / 2**20
    return ranges(
        rows,
        Axis("mebibytes", "MiB of body and head", scale="log", words="count"),
        title=f"How small do {name} weights become?",
        subtitle=f"{numbers.count(count)} ternary weights, by formula · beside them a bfloat16 "
        f"embedding of {numbers.number(table)} MiB",
        slots={NAME: SLOT},
    )


def _histogram(found: Sequence[MatrixReport]) -> Chart:
    from workbench.language.ternary_report import EDGES

    total = sum(math.prod(one.shape) for one in found)
    counts = [
        sum(int(count) for count in of) for of in zip(*(m.counts for m in found), strict=True)
    ]
    centres = (EDGES[:-1] + EDGES[1:]) / 2
    rows = [
        {"method": NAME, "at": float(at), "share": 100 * count / total}
        for at, count in zip(centres, counts, strict=True)
    ]
    zeros = sum(one.shares[1] * math.prod(one.shape) for one in found) / total
    return lines(
        rows,
        Axis("at", "Weight over its matrix’s mean of |W|"),
        Axis("share", "Share of weights", unit="%"),
        title="How are the latent weights spread?",
        subtitle=f"All matrices · between the rules they become 0: {numbers.percent(zeros)}",
        slots={NAME: SLOT},
        upright={"−1 below": -0.5, "1 above": 0.5},
    )


def _block(name: str) -> int | None:
    """Layer of a matrix, from 0; None for the head's."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), None)


def _errors(found: Sequence[MatrixReport]) -> Chart:
    of_layers = [(block, one) for one in found if (block := _block(one.name)) is not None]
    groups = [(f"layer {block + 1}", one) for block, one in sorted(of_layers, key=lambda at: at[0])]
    groups += [("head", one) for one in found if _block(one.name) is None]
    rows = [
        {"group": group, "method": NAME, "error": 100 * one.weight_error,
         "label": f"{one.name.removeprefix('model.')}, {numbers.percent(one.shares[1])} zeros"}
        for group, one in groups
    ]  # fmt: skip
    return ranges(
        rows,
        Axis("error", "Root mean square error of a matrix", unit="%"),
        title="What does rounding cost each layer?",
        subtitle="Of its latent weights’ size · a mark for each matrix",
        slots={NAME: SLOT},
    )


def _memory(found: TrainingMemory) -> TableContent:
    forms = (Cell("Fused layer", method=SLOT), found.fused), ("Plain layer", found.plain)
    rows: list[list[Cell | str]] = [
        [name, numbers.memory(plan.total - plan.temporaries), numbers.memory(plan.temporaries),
         Cell(numbers.memory(plan.total), strong=True)]
        for name, plan in forms
    ]  # fmt: skip
    rows.append(["Saved", "", "", Cell(numbers.percent(found.saving), strong=True)])
    heads = (
        Column("Form"), Column("Weights, gradients", number=True),
        Column("Temporaries", number=True), Column("Together", number=True),
    )  # fmt: skip
    about = (
        "XLA’s own plan of the compiled loss and gradients, no measurement of a running program; "
        "an optimizer’s moments are not in it."
    )
    return TableContent(heads, rows, "What does training hold?", about)
