"""How much time does each plan save, and at what loss?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from workbench.figures.charts import Chart, pareto
from workbench.figures.numbers import number
from workbench.labs.diffusion.points import Point
from workbench.labs.diffusion.scene import Scene, series_name, short_label

TITLE = "How much time does each plan save, and at what loss?"


def time_quality(
    scene: Scene, knobs: Mapping[str, Any], pins: Mapping[str, str], subtitle: str
) -> Chart:
    """SSIM to the full run against seconds per picture, a point per method and setting."""
    points = {**scene.others, **scene.points}
    rows = [_row(scene, point, knobs) for point in points.values() if point.seconds is not None]
    times = [float(row["seconds"]) for row in rows]
    lowest = min((float(row["ssim"]) for row in rows if row["ssim"] == row["ssim"]), default=0.0)
    return pareto(
        rows,
        x="seconds",
        y="ssim",
        title=TITLE,
        subtitle=subtitle,
        x_title="Seconds per picture (median, whiskers: range)",
        y_title="SSIM to the full run",
        x_domain=(0.0, _rounded_up(1.1 * max(times, default=1.0))),
        y_domain=_quality_ends(lowest),
        order="share",
        current=scene.look.code(),
        pins=dict(pins),
        names={scene.baseline.name: "Full, fewer steps"},
        slots={series_name(name): slot for name, slot in scene.slots.items()},
        height=232,
    )


def _rounded_up(value: float) -> float:
    """The next of 1, 1.5, 2, 2.5, 3, … times a power of ten: an axis end that rarely moves."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(k * unit for k in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if k * unit >= value)


def _quality_ends(lowest: float) -> tuple[float, float]:
    """From below the worst point to just over 1, in steps that rarely move."""
    room = next(r for r in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if r >= 1.05 * (1 - lowest))
    return 1 - room, 1 + 0.06 * room


def _row(scene: Scene, point: Point, knobs: Mapping[str, Any]) -> dict[str, Any]:
    seconds = point.seconds
    assert seconds is not None, "points without a time are left out before"
    predicted = point.basis == "predicted"
    ssim = point.quality.get("ssim")
    return {
        "trial_id": point.code,
        "method": series_name(point.method),
        "label": short_label(point, knobs.get(point.code, {}), scene.steps),
        "seconds": seconds.value,
        "seconds.low": None if predicted else seconds.low,
        "seconds.high": None if predicted else seconds.high,
        "ssim": point.ssim,
        "ssim.low": None if ssim is None or predicted else ssim.low,
        "ssim.high": None if ssim is None or predicted else min(ssim.high, 1.0),
        "share": point.share,
        "predicted": predicted,
        "settings": point.code,
        "spoken": f"{point.code}, {number(point.ssim)}",
    }
