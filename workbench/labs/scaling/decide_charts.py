"""Charts and table of a decision: the frontier, the price of another shape, serving, three ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, lines
from workbench.labs.scaling import spending
from workbench.labs.scaling.decide_form import Machine, Placement
from workbench.labs.scaling.fit_charts import LOSS, compute_axis, size_axis
from workbench.labs.scaling.selection import COMPUTE, Selection
from workbench.labs.scaling.spending import Way
from workbench.labs.scaling.training_bill import bills, days, money
from workbench.measure.roofline import PEAKS
from workbench.panels.picture import Cell, Column, TableContent
from workbench.scaling import decisions
from workbench.scaling.result import Fit

BEST, LONGER, SERVED = "least loss", "over-trained", "cheapest"
SLOTS = {BEST: 0, LONGER: 2, SERVED: 3}

SIZES = "How does the best size grow with compute?"
LOSSES = "What loss does a budget buy?"
PENALTY = "What does another shape cost?"
SERVING = "Which size is cheapest to train and serve?"
WAYS = "Three ways to spend it"


def frontier(
    fit: Fit, chosen: Selection, compute: float, factor: float, what: str
) -> Chart:  # fmt: skip
    """N* or L* against compute with its band; the over-trained model beside it.

    Args:
        what: `n_params` or `loss`.
    """
    high = max(100 * chosen.largest, compute)
    grid = np.geomspace(chosen.smallest, high, 49)
    table = chosen.counted.allocation(fit, grid)
    rows: list[dict[str, Any]] = [
        {"method": BEST, COMPUTE: row["compute"], what: row[what], "low": row.get(f"{what}_low"),
         "high": row.get(f"{what}_high"), "predicted": True}
        for _, row in table.iterrows()
    ]  # fmt: skip
    if factor > 1:
        sizes, tokens = spending.shapes(fit, chosen.counted, grid, factor)
        values = sizes if what == "n_params" else spending.losses(fit, sizes, tokens)
        rows += [
            {"method": LONGER, COMPUTE: float(c), what: float(value), "predicted": True}
            for c, value in zip(grid, values, strict=True)
        ]
    where = {numbers.number(compute): compute}
    band = " · band: 95 %" if f"{what}_low" in table.columns else ""
    return lines(
        rows, compute_axis(chosen), size_axis(chosen) if what == "n_params" else LOSS,
        title=SIZES if what == "n_params" else LOSSES,
        subtitle=f"By the law{band} · dotted: this budget",
        slots=SLOTS, extrapolated=chosen.largest, upright=where, height=230,
    )  # fmt: skip


def penalty(fit: Fit, chosen: Selection, compute: float, factor: float) -> Chart:
    """Compute over what the same loss costs at the best shape, by tokens a parameter."""
    factors = np.geomspace(0.05, 100, 37)
    values = spending.penalties(fit, chosen.counted, compute, factors)
    rows = [
        {"method": BEST, "factor": float(k), "penalty": float(v), "predicted": True}
        for k, v in zip(factors, values, strict=True)
        if np.isfinite(v) and v > 0
    ]
    return lines(
        rows, Axis("factor", "Tokens a parameter over the best", scale="log"),
        Axis("penalty", "Compute over the least", unit="×", scale="log"),
        title=PENALTY,
        subtitle="For the loss that this shape reaches, by the law · compute "
        f"{chosen.counted.title}",
        slots=SLOTS, names={BEST: "compute"}, level=1.0,
        upright={f"{factor:g} ×": factor} if factor > 1 else {},
    )  # fmt: skip


def serving(fit: Fit, chosen: Selection, ways: Sequence[Way], served: float) -> Chart:
    """Training and serving together, by size, for the loss of the best division."""
    start, _, cheapest = ways
    sizes, tokens, total = spending.serving_curve(fit, chosen.counted, start.loss, served)
    training = chosen.counted.compute(sizes, tokens)
    shown = total < 30 * total.min()
    rows = [
        {"method": name, "n_params": float(n), "total": float(value), "predicted": True}
        for name, values in (("together", total), ("training", training))
        for n, value in zip(sizes[shown][::6], values[shown][::6], strict=True)
    ]
    return lines(
        rows, size_axis(chosen), Axis("total", "FLOP", scale="log", words="power"), title=SERVING,
        subtitle=f"Every size here reaches loss {start.loss:.3f} · {numbers.count(served)} tokens "
        f"served at {decisions.SERVED:g} N each · training {chosen.counted.title}",
        slots={"together": 3, "training": 0},
        upright={f"cheapest: {numbers.count(cheapest.size)}": cheapest.size},
    )  # fmt: skip


def table(ways: Sequence[Way], knobs: Machine, placed: Placement) -> TableContent:
    """Size, data, loss, and what each way costs on the machine."""
    rows: list[Sequence[Cell | str]] = []
    for slot, way in zip(SLOTS.values(), ways, strict=True):
        bill = bills(way, knobs, placed).here
        cost = ("–", "–") if bill is None else (days(bill.cost.days), money(bill.cost.price))
        cells = [
            numbers.count(way.size), numbers.count(way.tokens),
            numbers.number(way.tokens / way.size), f"{way.loss:.3f}",
            numbers.number(way.total), *cost,
        ]  # fmt: skip
        rows.append([Cell(way.name, method=slot), *(Cell(c, basis="predicted") for c in cells)])
    heads = ("Params", "Tokens", "D / N", "Loss", "FLOP with serving", "Time", "Price")
    optional = {"FLOP with serving", "D / N"}
    columns = [Column("Way")] + [Column(h, number=True, optional=h in optional) for h in heads]
    peak = PEAKS[str(knobs.device)]
    about = (
        f"Training on {knobs.devices} × {peak.name} at {knobs.share:g} % of its bfloat16 peak, at "
        "your price; arithmetic of a guessed shape, attention included"
    )
    return TableContent(columns, rows, WAYS, about)
