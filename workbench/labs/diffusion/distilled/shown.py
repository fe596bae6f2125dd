"""What the students' page shows: quality against cost, pictures, λ, verdicts, full-size costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from workbench import shipped
from workbench.diffusion.stable_diffusion import STABLE_DIFFUSION_15
from workbench.diffusion.students.plan import DIVERGENCE, PAPERS_DIVERGENCE
from workbench.diffusion.students.verdict import METRICS
from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, pareto, ranges
from workbench.labs.diffusion.distilled.drawn import SEEDS, STUDY, Drawn
from workbench.labs.diffusion.distilled.form import slot
from workbench.labs.diffusion.pictures import png
from workbench.measure import intervals
from workbench.panels.picture import (
    Cell,
    Column,
    ImageRow,
    ImagesContent,
    TableContent,
    Thumb,
)

FAMILIES = {0: "Teacher", 1: "Consistency", 2: "One pass", 3: "One step"}
SLOTS = {name: number for number, name in FAMILIES.items()}
UNTRAINED = "before training"
FOUR = "one pass, K = 4"


@dataclass(frozen=True)
class Study:
    """The study that ships.

    Attributes:
        rows: one for each arm and seed; seed -1 where nothing was trained.
        card: command, device, date, seconds, verdicts.
    """

    rows: Sequence[Mapping[str, Any]]
    card: Mapping[str, Any]

    def values(self, arm: str, column: str) -> list[float]:
        """Of every seed."""
        return [float(row[column]) for row in self.rows if row["arm"] == arm]

    @property
    def arms(self) -> list[str]:
        """Names, in the order they come."""
        return list(dict.fromkeys(str(row["arm"]) for row in self.rows))


@cache
def study() -> Study:
    """Of `python -m workbench.diffusion.students.study`."""
    import pandas as pd

    place = shipped.path(STUDY)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    return Study(pd.read_csv(place / "quality.csv").to_dict("records"), card)


def quality(found: Study, metric: str, cost: str, chosen: Sequence[str]) -> Chart:
    """A point an arm, means with intervals over seeds, against operations or seconds.

    Args:
        metric: column.
        cost: "macs" or "seconds".
        chosen: arms that are drawn below; the second is ringed.
    """
    rows = []
    for arm in found.arms:
        if UNTRAINED in arm or "λ" in arm:
            continue
        at = _cost(found, arm, cost)
        if at is None:
            continue
        mean = intervals.mean(found.values(arm, metric))
        ends = {f"{metric}.low": mean.low, f"{metric}.high": mean.high} if mean.known else {}
        rows.append({
            "method": FAMILIES[slot(arm)], "label": arm, "trial_id": arm, "cost": at,
            metric: mean.value, **ends,
        })  # fmt: skip
    words, better = METRICS[metric]
    unit, name = ("GMACs", "Operations a picture") if cost == "macs" else ("ms", "Time a picture")
    up = "up is better" if better == "higher" else "down is better"
    return pareto(
        rows,
        Axis("cost", name, unit=unit, scale="log"),
        Axis(metric, words[0].upper() + words[1:]),
        title="What does a picture in one pass cost?",
        subtitle=f"Mean of {len(found.card['seeds'])} seeds, 95 % intervals · {up}, left cheaper",
        slots=SLOTS,
        current=chosen[1],
        better="higher" if better == "higher" else "lower",
    )


def divergence(found: Study, metric: str) -> Chart:
    """λ, the weight that holds predicted noise to a normal law, over seeds; and no training."""
    arms = [arm for arm in found.arms if arm.startswith(FOUR)]
    rows = []
    for arm in arms:
        mean = intervals.mean(found.values(arm, metric))
        rows.append({
            "group": _weight(arm),
            "method": FAMILIES[2], "value": mean.value, "label": arm,
            **({"low": mean.low, "high": mean.high} if mean.known else {}),
        })  # fmt: skip
    words, better = METRICS[metric]
    return ranges(
        sorted(rows, key=lambda row: str(row["group"])),
        Axis("value", words[0].upper() + words[1:]),
        title="What does λ do?",
        subtitle=f"K = 4, 95 % intervals over seeds · {'more' if better == 'higher' else 'less'} "
        "is better",
        slots=SLOTS,
    )


def pictures(found: Drawn) -> ImagesContent:
    """The same noise by each, in rows."""
    base = next(iter(found.seconds.values()), None)
    rows = []
    for name, images in found.pictures.items():
        took = found.seconds.get(name)
        note = ""
        if took is not None and base is not None:
            note = f"{numbers.seconds(took / SEEDS)} a picture"
            note += "" if slot(name) == 0 else f", {numbers.number(base / took)} × as fast"
        thumbs = [Thumb(png(one), f"seed {n}, {name}") for n, one in enumerate(images)]
        rows.append(ImageRow(slot(name), name, note, thumbs))
    return ImagesContent(
        "What do they draw of the same noise?",
        "Columns are seeds, classes in turn; eight pictures at once",
        [str(n) for n in range(SEEDS)],
        rows,
    )


def verdicts(found: Study) -> TableContent:
    """Every paired difference, whichever way."""
    rows: list[list[Cell | str]] = []
    for one in found.card["verdicts"]:
        known = one["low"] is not None
        spread = f"{one['low']:+.3g} to {one['high']:+.3g}".replace("-", "−") if known else ""
        rows.append([
            METRICS[one["metric"]][0], Cell(one["first"], method=slot(one["first"])),
            Cell(one["second"], method=slot(one["second"])), numbers.number(one["ours"]),
            numbers.number(one["theirs"]),
            Cell(f"{one['difference']:+.3g}".replace("-", "−"), note=spread,
                 strong=bool(one["better"])),
            one["better"] or "not told apart",
        ])  # fmt: skip
    heads = (
        Column("Metric"), Column("First"), Column("Second"), Column("First", number=True),
        Column("Second", number=True), Column("Difference", number=True), Column("Better"),
    )  # fmt: skip
    words = "Paired by seed with 95 % intervals; the better one is named where they exclude zero."
    return TableContent(heads, rows, "Every verdict", words)


def full_size() -> TableContent:
    """Operations of a picture on Stable Diffusion 1.5, and how fast it could be at most."""
    costs = STABLE_DIFFUSION_15
    whole, decoder = costs.full.macs, costs.decode.macs
    ways = {
        "4 steps": 4 * whole,
        "encoder once, 4 decoders": whole + 3 * decoder,
        "encoder once, 2 decoders": whole + decoder,
        "1 step": whole,
    }
    rows: list[list[Cell | str]] = [
        [
            name,
            Cell(f"{numbers.number(macs / 1e9)} G", basis="predicted"),
            Cell(numbers.percent(macs / (4 * whole)), basis="predicted"),
        ]
        for name, macs in ways.items()
    ]
    heads = (
        Column("Stable Diffusion 1.5"),
        Column("MACs", number=True),
        Column("Of 4 steps", number=True),
    )
    words = "64 × 64 latents, no guidance, the UNet alone: decoders cost two thirds of a pass."
    return TableContent(heads, rows, "How near is it to one step?", words)


def _weight(arm: str) -> str:
    """λ of an arm in words; the usual one is the paper's, scaled to these pictures."""
    if arm == FOUR:
        return f"λ = {DIVERGENCE:.2g}, scaled"
    words = arm.removeprefix(f"{FOUR}, ")
    return f"{words}, the paper’s" if words == f"λ = {PAPERS_DIVERGENCE:g}" else words


def _cost(found: Study, arm: str, cost: str) -> float | None:
    if cost == "macs":
        return found.values(arm, "macs")[0] / 1e9
    took = found.card["seconds_a_picture"].get(arm)
    return None if took is None else 1e3 * float(took)
