"""Which detail does each plan keep?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.diffusion.curves import curve
from workbench.labs.diffusion.scene import Scene
from workbench.measure.intervals import mean
from workbench.study.comparison import Comparison


def spectrum(scene: Scene, known: Sequence[Comparison]) -> Chart:
    """Power of each method's pictures at each frequency, against the full run's of the same seed.

    A ratio of each picture; the mean over pictures is geometric, so that half and twice the power
    weigh the same. The band is Student's interval of the logarithm.
    """
    rows = []
    for method in scene.methods[1:]:
        for frequency, ratios in curve("spectrum", method.code(), known).items():
            level = mean(np.log(ratios))
            value, low, high = np.exp([level.value, level.low, level.high])
            rows.append(
                {
                    "method": method.name,
                    "frequency": frequency,
                    "power": float(value),
                    "low": float(low),
                    "high": float(high),
                    "key": f"{method.name} {frequency}",
                }
            )
    return lines(
        rows,
        Axis("frequency", "Frequency (cycles per picture)"),
        Axis("power", "Power against the full run"),
        title="Which detail does each plan keep?",
        subtitle="Under 1: blurred · over 1: grain · geometric mean over pictures, band 95 %",
        slots=scene.slots,
        dashed=True,
        level=1.0,
        height=170,
    )
