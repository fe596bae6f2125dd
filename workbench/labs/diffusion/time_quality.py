"""How much time does each plan save, and at what loss?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, pareto
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene, series_name, setting_words

TITLE = "How much time is saved, and at what loss?"

FINEST = 1e-4
"""SSIM under which what is lost is drawn on a linear scale, so that the full run has a place."""


def time_quality(
    scene: Scene, knobs: Mapping[str, Any], pins: Mapping[str, str], subtitle: str
) -> Chart:
    """SSIM to the full run against seconds per picture, a point per method and setting."""
    points = {**scene.others, **scene.points}
    rows = [_row(scene, point, knobs) for point in points.values() if point.seconds is not None]
    times = [float(row["seconds"]) for row in rows]
    return pareto(
        rows,
        Axis(
            "seconds",
            "Seconds per picture (median, whiskers: range)",
            domain=(0.0, _rounded_up(1.2 * max(times, default=1.0))),
        ),
        Axis("ssim", "SSIM to the full run (log scale of 1 − SSIM)", scale="nines", finest=FINEST),
        title=TITLE,
        subtitle=subtitle,
        current=scene.look.code(),
        pins=dict(pins),
        names={scene.baseline.name: "Full, fewer steps"},
        slots={series_name(name): slot for name, slot in scene.slots.items()},
        height=240,
    )


def _rounded_up(value: float) -> float:
    """The next of some round numbers times a power of ten: an axis end that rarely moves."""
    unit = 10.0 ** math.floor(math.log10(value))
    ends = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return next(k * unit for k in ends if k * unit >= value)


def _row(scene: Scene, point: Point, knobs: Mapping[str, Any]) -> dict[str, Any]:
    seconds = point.seconds
    assert seconds is not None, "points without a time are left out before"
    predicted = point.basis == "predicted"
    ssim = point.quality.get("ssim")
    words = setting_words(point, knobs.get(point.code, {}), scene.steps)
    name = ", ".join(filter(None, (point.method, words)))
    return {
        "trial_id": point.code,
        "method": series_name(point.method),
        "label": words,
        "told": f"{name}: {numbers.seconds(seconds.value)}, SSIM {numbers.near_one(point.ssim)}",
        "seconds": seconds.value,
        "seconds.low": None if predicted else seconds.low,
        "seconds.high": None if predicted else seconds.high,
        "ssim": point.ssim,
        "ssim.low": None if ssim is None or predicted else ssim.low,
        "ssim.high": None if ssim is None or predicted else min(ssim.high, 1.0),
        "predicted": predicted,
    }
