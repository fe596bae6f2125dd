"""What model assembly shows: decision numbers, every cut beside the others, drawn digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.diffusion.assembly.dropping import DropError
from workbench.diffusion.assembly.presets import PRESETS, dropped_by
from workbench.diffusion.switch_speed import predicted_speed
from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, pareto
from workbench.labs.diffusion.assembling.networks import Network, Sum
from workbench.labs.diffusion.pictures import png
from workbench.panels.picture import (
    Figure,
    FiguresContent,
    ImageRow,
    ImagesContent,
    Thumb,
)

WHOLE, STUDENT = "Whole UNet", "Student"
SLOTS = {WHOLE: 0, STUDENT: 2}


def figures(
    network: Network, left: Sum, steps: int, switch: int, seconds: Mapping[str, float]
) -> FiguresContent:
    """Size, operations and speed of the student, foreseen; and measured where it was drawn."""
    whole = network.total
    speed = predicted_speed(left.macs, whole.macs, steps, switch)
    found = [
        Figure(
            "Parameters", numbers.count(left.parameters), "",
            f"{numbers.percent(left.parameters / whole.parameters)} of the whole", "predicted",
        ),
        Figure(
            "Operations a pass", numbers.number(left.macs / 1e9), "GMACs",
            f"{numbers.percent(left.macs / whole.macs)} of the whole", "predicted",
        ),
        Figure(
            f"Speed, {switch} of {steps} steps", numbers.number(speed),
            "×", "operations of all steps", "predicted",
        ),
    ]  # fmt: skip
    if seconds:
        ratio = seconds[WHOLE] / seconds[STUDENT]
        found.append(Figure("Speed, measured here", numbers.number(ratio), "×", "by turns, median"))
    return FiguresContent(found, "What is left?", "From formula: every kept layer keeps its widths")


def cuts(network: Network, left: Sum) -> Chart:
    """BK-SDM's cuts and this one: operations against parameters."""
    rows = [_point(WHOLE, "whole", network.total, network.total)]
    for preset in PRESETS:
        try:
            names = dropped_by(network.config, preset)
            rows.append(_point(STUDENT, preset, network.without(names), network.total))
        except (DropError, ValueError):  # a UNet too small for it
            continue
    rows.append(_point("This cut", "this cut", left, network.total))
    return pareto(
        rows,
        Axis("macs", "Operations a pass", unit="GMACs"),
        Axis("parameters", "Parameters", unit="M"),
        title="What does each cut save?",
        subtitle=f"{network.name} · counted · lower left is smaller",
        names={STUDENT: "BK-SDM’s cuts"},
        slots={**SLOTS, "This cut": 3},
        current="this cut",
        better="lower",
    )


def drawn(pictures: Mapping[str, np.ndarray], labels: Sequence[str], note: str) -> ImagesContent:
    """The same seeds by the whole UNet and by the student.

    Args:
        pictures: uint8 [seeds, H, W, C] by row.
        labels: of the columns.
        note: whose weights the student has.
    """
    rows = [
        ImageRow(
            SLOTS[name],
            name,
            "reference" if name == WHOLE else note,
            [Thumb(png(one), f"seed {seed}, {name}") for seed, one in enumerate(images)],
        )
        for name, images in pictures.items()
    ]
    return ImagesContent("What does the student draw?", "The same noise", list(labels), rows)


def _point(method: str, label: str, cost: Sum, whole: Sum) -> dict[str, object]:
    return {
        "method": method, "label": label, "trial_id": label, "predicted": True,
        "macs": cost.macs / 1e9, "parameters": cost.parameters / 1e6,
        "told": f"{label}: {numbers.count(cost.parameters)} parameters, "
        f"{numbers.number(cost.macs / 1e9)} GMACs, {numbers.percent(cost.macs / whole.macs)}",
    }  # fmt: skip
