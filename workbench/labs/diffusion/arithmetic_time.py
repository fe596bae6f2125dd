"""Is saved arithmetic saved time?"""

from __future__ import annotations

import math

from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, bars
from workbench.labs.diffusion.scene import Scene

REACHES = (120.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0)
"""Where the axis may end [%]: few places, for each new one is a new chart."""


def arithmetic_time(scene: Scene) -> Chart:
    """Operations and measured time of each method, in percent of full sampling."""
    base = scene.base
    rows = []
    for method in scene.methods:
        point = scene.point(method)
        row: dict[str, object] = {"method": method.name, "trial_id": method.code()}
        if point is not None:
            row["predicted"] = 100 * point.share if math.isfinite(point.share) else None
            known = point.seconds if point.basis != "predicted" else None
            if known is not None and base is not None and base.seconds is not None:
                whole = base.seconds.value
                row["measured"] = 100 * known.value / whole
                row["low"], row["high"] = 100 * known.low / whole, 100 * known.high / whole
        rows.append(row)
    for row in rows:
        for name in ("predicted", "measured", "low", "high"):
            row.setdefault(name, None)
    longest = max((v for row in rows for v in row.values() if isinstance(v, float)), default=0.0)
    reach = next((end for end in REACHES if end >= longest), longest)
    return bars(
        rows,
        Axis("measured", unit="%", domain=(0.0, reach)),
        subtitle="% of full sampling · hollow: operations · filled: time",
        slots=scene.slots,
    )
