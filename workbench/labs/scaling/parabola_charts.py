"""Approach 2 on the runs of a table: each budget's parabola, its least, and the exponents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import contours
from workbench.labs.scaling.fit_charts import BUDGET, LOSS, SIZE
from workbench.panels.picture import ChartContent, Content, EmptyContent

if TYPE_CHECKING:
    import pandas as pd

ASKED = "Do parabolas find the same sizes?"


def parabolas(runs: pd.DataFrame, size: Axis = SIZE) -> Content:
    """The runs of each budget and the parabola through them; in words where there are none.

    Args:
        runs: those that were fitted.
        size: the axis of their parameters.
    """
    if not {"n_params", "n_tokens", "loss"} <= set(runs.columns):
        return EmptyContent(ASKED, "Parabolas need sizes, tokens and losses.")
    from workbench.scaling.parabolas import budgets, checked_sizes, isoflop

    runs, faults = checked_sizes(runs, drop=True)
    try:
        lines, vertices = isoflop(runs)
    except ValueError as fault:
        gone = "".join(f" Left out: {one}." for one in faults)
        return EmptyContent(ASKED, f"No parabolas: {fault}.{gone}")
    rows: list[dict[str, Any]] = []
    for (budget, group), (_, vertex) in zip(budgets(runs), vertices.iterrows(), strict=True):
        rows += _of_budget(budget, group, vertex)
    a, b = (exponent(runs, name, value) for name, value in
            (("a", lines.size[0]), ("b", lines.data[0])))  # fmt: skip
    missed = vertices[vertices["why"] != ""]
    left = (
        f" · {len(missed)} of {len(vertices)} budgets have no least inside" if len(missed) else ""
    )
    left += "".join(f" · left out: {one}" for one in faults)
    return ChartContent.of(
        contours(
            rows, size, LOSS, BUDGET, title=ASKED,
            subtitle=f"Hollow: the least of each · N* ∝ Cᵃ, a = {a} · b = {b} · C = 6 N D{left}",
        )
    )  # fmt: skip


def exponent(runs: pd.DataFrame, name: str, value: float) -> str:
    """An exponent with the interval of resampled runs, or that there is none."""
    from workbench.scaling.parabola_draws import drawn, interval

    ends = interval(drawn(runs)[name])
    told = " – ".join(map(numbers.number, ends)) if ends else "no interval"
    return f"{value:.3f} ({told})"


def _of_budget(budget: float, group: pd.DataFrame, vertex: Any) -> list[dict[str, Any]]:
    """Points of the parabola, where it counts, its least, and the runs."""
    shared = {"budget": budget, "key": None, "label": ""}
    rows: list[dict[str, Any]] = []
    if not vertex["why"]:
        sizes = group["n_params"].astype(float)
        grid = np.geomspace(sizes.min(), sizes.max(), 31)
        curve = vertex["loss"] + vertex["curvature"] * np.log(grid / vertex["n_params"]) ** 2
        rows += [
            {"part": "line", **shared, "n_params": float(n), "loss": float(loss)}
            for n, loss in zip(grid, curve, strict=True)
        ]
        rows.append({"part": "best", **shared, "n_params": float(vertex["n_params"]),
                     "loss": float(vertex["loss"]), "label": "least"})  # fmt: skip
    rows += [
        {"part": "run", "budget": budget, "n_params": float(run["n_params"]),
         "loss": float(run["loss"]), "key": str(label), "label": f"row {label}"}
        for label, run in group.iterrows()
    ]  # fmt: skip
    return rows


def vertices(runs: pd.DataFrame) -> pd.DataFrame | None:
    """The least of each budget's parabola, for the export; None where there are too few."""
    from workbench.scaling.parabolas import checked_sizes, isoflop

    try:
        return isoflop(checked_sizes(runs, drop=True)[0])[1]
    except ValueError:
        return None
