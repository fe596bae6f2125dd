"""What stands on the page of a mixer of one's own: its checks, and itself beside its rivals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, ranges
from workbench.labs.language import models
from workbench.labs.language.recall_run import Recalled
from workbench.labs.language.recall_view import accuracy
from workbench.panels.picture import Cell, Column, TableContent, Verdict

if TYPE_CHECKING:
    from workbench.language.checking import Report as Checked
    from workbench.language.studies.beside import Beside
    from workbench.measure.intervals import Interval

CHECKS, LEARNT, TIMES, RECALL, ORDER = (
    "Does it do what a mixer must?",
    "How well does it learn text?",
    "How does its time grow?",
    "How much can it look up?",
    "Is it better than its rivals?",
)
GLYPHS: Mapping[str, Verdict] = {"pass": "reproduced", "fail": "failed", "not judged": "open"}
"""Of a check that is judged; what is only measured has none."""

WORDS: Mapping[bool | None, tuple[str, Verdict]] = {
    True: ("better", "reproduced"),
    False: ("worse", "failed"),
    None: ("not told apart", "open"),
}


def checks(found: Checked) -> TableContent:
    """A row for each check."""
    rows: list[list[Cell | str]] = [
        [Cell(one.name), Cell(one.status, verdict=GLYPHS.get(one.status)), one.figure, one.words]
        for one in found.checks
    ]
    heads = (Column("Check"), Column("Verdict"), Column("Figure"), Column("Found", wrap=True))
    about = f"{found.sentence} {numbers.seconds(found.seconds)}."
    return TableContent(heads, rows, CHECKS, about)


def learnt(found: Beside) -> Chart:
    """Bits per byte of every mixer, the best first."""
    by_name: dict[str, list[float]] = {}
    for row in found.text:
        by_name.setdefault(str(row["name"]), []).append(float(row["bits_per_byte"]))
    rows = [
        {"group": name, "method": name, "bits": sum(of) / len(of), "low": min(of), "high": max(of),
         "label": f"{len(of)} seeds" if len(of) > 1 else "1 seed"}
        for name, of in sorted(by_name.items(), key=lambda one: sum(one[1]) / len(one[1]))
    ]  # fmt: skip
    return ranges(
        rows,
        Axis("bits", "Bits per byte, held-out text"),
        title=LEARNT,
        subtitle="30 k parameters, 1000 updates, each at its best of three rates · mark: mean, "
        "bar: all seeds",
        slots={name: models.slot(name) for name in by_name},
    )


def times(found: Beside) -> Chart:
    """Milliseconds of a layer against length."""
    rows = [
        {"method": one["name"], "length": one["length"], "ms": 1e3 * one["seconds"]}
        for one in found.cost
    ]
    return lines(
        rows,
        Axis("length", "Context (tokens)", scale="log", words="count"),
        Axis("ms", "Milliseconds of a layer", scale="log"),
        title=TIMES,
        subtitle="Whole texts, batch 1, width 64, without a feed-forward · medians of five",
        slots={str(one["name"]): models.slot(str(one["name"])) for one in found.cost},
        marks=True,
    )


def recalled(found: Beside) -> Chart:
    """Share of queries answered against pairs."""
    return accuracy([
        Recalled(
            str(row["name"]), int(row["pairs"]), int(row["width"]), float(row["state"]),
            int(row["seed"]), float(row["accuracy"]), float(row["seconds"]),
        )
        for row in found.recall
    ], RECALL)  # fmt: skip


def order(found: Beside) -> TableContent | None:
    """Against each rival: whether seeds part the two on text; None before all seeds are there."""
    texts = [one for one in found.rankings() if one.value == "bits_per_byte"]
    if not texts or found.mixer not in texts[0].means:
        return None
    (ranked,) = texts
    rows: list[list[Cell | str]] = []
    for name, mean in ranked.means.items():
        if name == found.mixer:
            continue
        words, verdict = WORDS[ranked.before(found.mixer, name)]
        apart = ranked.differences[found.mixer, name]
        rows.append([
            Cell(name, method=models.slot(name)), numbers.number(mean.value),
            Cell(_signed(apart), strong=True, note=_interval(apart)), Cell(words, verdict=verdict),
        ])  # fmt: skip
    heads = (
        Column("Rival"), Column("Bits / byte", number=True), Column("Yours less it", number=True),
        Column("Yours is"),
    )  # fmt: skip
    about = (
        f"{found.mixer}: {numbers.number(ranked.means[found.mixer].value)} bits per byte. Paired "
        "over seeds, 95 %; rivals are of the shipped study and not trained again."
    )
    return TableContent(heads, rows, ORDER, about)


def _signed(apart: Interval) -> str:
    return f"{apart.value:+.3f}".replace("-", "−")


def _interval(apart: Interval) -> str:
    if not math.isfinite(apart.low):
        return "one seed"
    return f"{apart.low:+.3f} to {apart.high:+.3f}".replace("-", "−")
