"""The two charts of the lab: the roofline, and errors against gate strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines, roofline
from workbench.figures.palette import SLOTS as LOOKS
from workbench.labs.kernels.devices import HERE, Place, intensity, rate
from workbench.labs.kernels.exactness import WORDS
from workbench.labs.kernels.knobs import OPS
from workbench.labs.kernels.work import Work

SLOTS = {name: 1 + number % (len(LOOKS) - 1) for number, name in enumerate(OPS.values())}
"""Every op has one colour and mark; a chart shows one op, so that two may have the same."""

SCHEME_SLOTS = {word: slot for slot, word in enumerate(WORDS.values(), start=1)}

TERA = 1e12


def roof(work: Work, found: Sequence[Place], device: str) -> Chart:
    """The work under the roof of every device; measured where it ran."""
    rows: list[dict[str, Any]] = []
    for place in found:
        rows.append(_row(work, place, "at best", place.best.seconds, predicted=True))
        for form, timing in place.timed.items():
            rows.append(_row(work, place, form, timing.median, predicted=False))
    return roofline(
        rows,
        roofs=[
            {
                "name": place.name,
                "peak": place.peaks.flops(place.dtype) / TERA,
                "bandwidth": place.peaks.bytes_per_s / TERA,
                "current": place.key == device,
            }
            for place in found
        ],
        title="What does each device allow?",
        subtitle=f"{work.name} · hollow: at best, by formula · filled: measured here",
        slots=SLOTS,
        current=HERE if device == HERE else "",
    )


def _row(work: Work, place: Place, how: str, seconds: float, predicted: bool) -> dict[str, Any]:
    cost = place.cost if predicted else work.cost(how)
    moved = intensity(cost)
    said = f"{place.name}, {how}: {numbers.seconds(seconds)}"
    return {
        "trial_id": place.key,
        "method": work.name,
        "label": place.name if predicted else f"{place.name}, {how}",
        "intensity": moved,
        "rate": rate(cost, seconds) / TERA,
        "predicted": predicted,
        "told": f"{said} · {numbers.number(moved)} flop/B",
    }


def errors(rows: Sequence[Mapping[str, Any]], dtype: str, where: str) -> Chart:
    """Error of each scheme against gate strength; a line ends where it gives no number.

    Args:
        rows: as `accuracy` makes them.
        dtype: of the inputs.
        where: device and date of the measurement.
    """
    shown = [
        {
            "method": WORDS[row["scheme"]],
            "strength": row["strength"],
            "error": max(row["error"], 1e-9),
            "key": f"{row['scheme']} {row['strength']:g}",
        }
        for row in rows
        if row["dtype"] == dtype and row["error"] is not None
    ]
    return lines(
        shown,
        Axis("strength", "Decay a step (mean of −log gate)", scale="log"),
        Axis("error", "Largest error, of the largest value", scale="log", words="power"),
        title="How exact is each way to form scores?",
        subtitle=f"{dtype} against float64 · a line ends where it overflows · {where}",
        slots=SCHEME_SLOTS,
        dashed=True,
        marks=True,
        height=250,
    )
