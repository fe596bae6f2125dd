"""What stands on the ternary page: sizes, weights, errors, and memory of training and decoding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, ranges
from workbench.labs.language.recorded import Benchmarked
from workbench.labs.language.ternary_memory import TrainingMemory
from workbench.panels.picture import Cell, Column, Figure, FiguresContent, TableContent

if TYPE_CHECKING:
    from workbench.language.ternary_report import MatrixReport

NAME, SLOT = "MatMul-free", 2
HISTOGRAM, ERRORS, MEMORY, DECODING = (
    "How are the latent weights spread?",
    "What does rounding cost each layer?",
    "What does training hold?",
    "How fast do 370 M packed weights decode?",
)

PUBLISHED = {
    "370m": ("370 M", 24, 1024, 2816),
    "1.3b": ("1.3 B", 24, 2048, 5632),
    "2.7b": ("2.7 B", 32, 2560, 6912),
}
"""Name, layers, width and feed-forward width of the published models; 32 000 tokens."""

VOCABULARY = 32000


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


def sizes(model: str) -> Chart:
    """Of a published model in each format."""
    name, layers, width, inner = PUBLISHED[model]
    formats = ternary_sizes(layers, width, inner)
    count = formats["float32"] / 4
    rows = [
        {"group": label, "method": NAME, "mebibytes": size / 2**20, "predicted": True,
         "label": f"{label}, {numbers.number(8 * size / count)} bits"}
        for label, size in formats.items()
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


def histogram(found: Sequence[MatrixReport]) -> Chart:
    """Latent weights of all matrices, over each one's mean."""
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
        title=HISTOGRAM,
        subtitle=f"All matrices · between the rules they become 0: {numbers.percent(zeros)}",
        slots={NAME: SLOT},
        upright={"−1 below": -0.5, "1 above": 0.5},
    )


def _block(name: str) -> int | None:
    """Layer of a matrix, from 0; None for the head's."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), None)


def errors(found: Sequence[MatrixReport]) -> Chart:
    """Of each matrix, layer by layer."""
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
        title=ERRORS,
        subtitle="Of its latent weights’ size · a mark for each matrix",
        slots={NAME: SLOT},
    )


def memory(found: TrainingMemory) -> TableContent:
    """XLA's plans of both forms."""
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
    return TableContent(heads, rows, MEMORY, about)


def recorded_memory(found: Benchmarked) -> TableContent:
    """Both forms at 370 M, as the benchmark counted them."""
    parts = (
        "activations kept for the backward pass", "weights and their gradients",
        "everything else in XLA's plan",
    )  # fmt: skip
    rows: list[list[Cell | str]] = []
    for name, form in (("Fused layer", "fused"), ("Plain layer", "plain")):
        held = [found.figures[f"{form}, {part}"].value * 2**20 for part in parts]
        label = Cell(name, method=SLOT) if form == "fused" else name
        rows.append([label, *(numbers.memory(one) for one in held)])
    heads = (
        Column("Form"), Column("Kept", number=True), Column("Weights, gradients", number=True),
        Column("Temporaries", number=True),
    )  # fmt: skip
    about = (
        f"All of 370 M, 4 texts of 2048 tokens, float32 · recorded {found.date}. Kept: what the "
        "backward pass is handed; the others: XLA’s plan, whose temporaries hold what it keeps."
    )
    return TableContent(heads, rows, MEMORY, about)


def decoding(found: Benchmarked) -> FiguresContent:
    """Tokens a second at batch 1 beside the fastest dense form, and how near reading alone is."""
    rates = {
        name.removesuffix(", tokens a second"): one.value
        for name, one in found.figures.items()
        if name.startswith("float") and name.endswith(", tokens a second")
    }
    name, dense = max(rates.items(), key=lambda rate: rate[1])
    figure = found.figures.__getitem__
    packed, times = figure("packed, tokens a second"), figure(f"time of {name} over packed")
    floor = figure("packed time over its floor")
    held = figure("packed, body and head"), figure("float32, JAX, body and head")
    whole = found.figures.get("int8, JAX, tokens a second")
    strip = [
        Figure("Packed", numbers.number(packed.value), "tok/s", packed.spread),
        Figure("Fastest in float", numbers.number(dense), "tok/s", name),
        Figure("A byte a weight", numbers.number(whole.value), "tok/s", "int8, JAX")
        if whole else None,
        Figure("Packed is faster", numbers.number(times.value, 2), "×", times.spread),
        Figure("Weights", numbers.memory(held[0].value * 2**20), "",
               f"of {numbers.memory(held[1].value * 2**20)} in float32"),
        Figure("Over reading alone", numbers.number(floor.value, 2), "×", floor.spread),
    ]  # fmt: skip
    about = f"Batch 1, random weights, {found.device} · recorded {found.date}"
    return FiguresContent([one for one in strip if one], DECODING, about)
