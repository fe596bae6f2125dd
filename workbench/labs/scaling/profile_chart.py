"""The profile of R_D*: whether runs of repeated data determine what a repeat is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.progress import Report, silent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.result import Fit

ASKED = "Do these runs determine R_D*?"
NAME = "R_D*"

LOW, HIGH, POINTS = 1.0, 1e4, 17
"""Values at which it is held, spread by ratio."""

NEAR = 0.01
"""Share above the least objective within which a value is as good as the best."""

DRAWN = 0.5
"""Share above the least up to which the curve is drawn."""


def profiled(fit: Fit, report: Report = silent) -> pd.DataFrame:
    """The least objective with R_D* held at each of the values, and at what was fitted."""
    from workbench.scaling.profiles import profile

    values = {*np.geomspace(LOW, HIGH, POINTS), float(np.clip(fit.fitted[NAME], LOW, HIGH))}
    return profile(fit, NAME, sorted(values), report=report)


def chart(table: pd.DataFrame, fit: Fit) -> Chart:
    """The objective above its least, with the fitted and the published value."""
    from workbench.scaling.presets import PRESETS

    over = table["objective"] / table["objective"].min() - 1
    rows = [
        {"method": "profile", NAME: float(value), "over": 100 * float(share), "predicted": True}
        for value, share in zip(table["value"], over, strict=True)
        if share <= DRAWN
    ]
    within = table["value"][over <= NEAR]
    low, high = (numbers.number(float(end), 2) for end in (within.min(), within.max()))
    edge = " (to the end of what was tried)" if within.max() >= HIGH else ""
    told = PRESETS["muennighoff"]
    here = fit.fitted[NAME]
    upright = {f"{told.by} {told.params[NAME]:.1f}": told.params[NAME]}
    if LOW <= here <= HIGH:
        upright |= {f"here {numbers.number(here)}": here}
    return lines(
        rows, Axis(NAME, "R_D*, repeats worth having", scale="log"),
        Axis("over", "Objective above its least", unit="%"), title=ASKED,
        subtitle=f"All others fitted anew at each · within {100 * NEAR:g} %: {low} – {high}{edge}",
        slots={"profile": 0}, level=100 * NEAR, upright=upright,
    )  # fmt: skip
