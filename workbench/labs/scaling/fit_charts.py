"""Charts of a fit: its test, IsoFLOP curves, contours with the frontier, misses, exponents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, contours, lines, ranges
from workbench.figures.palette import OTHERS
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.other_ways import Exponent
from workbench.labs.scaling.selection import COMPUTE, Selection

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.result import Fit

SIZE = Axis("n_params", "Parameters", scale="log", words="count")
LOSS = Axis("loss", "Loss (nats a token)")
BUDGET = Axis("budget", "Compute (FLOP)", words="power")
LEVEL = Axis("level", "Loss")

TEST = "Does the law foresee the largest runs?"
CURVES = "Which size is best at each budget?"
CONTOURS = "How does the best size grow with compute?"
RESIDUALS = "Are the misses random?"
EXPONENTS_ASKED = "Do size and data grow alike?"

SHOWN = 6
"""Held-out runs that are drawn."""

AHEAD = 100.0
"""The frontier is drawn to so many times the largest run."""

HERE, PUBLISHED = "Here", "Published"

SHARES = ("error", "accuracy", "fraction")
"""What a law predicts whose residual is a difference."""


def compute_axis(chosen: Selection, column: str = COMPUTE) -> Axis:
    """Training compute, with how it is counted."""
    return Axis(column, f"FLOP, {chosen.counted.title}", scale="log", words="power")


def size_axis(chosen: Selection) -> Axis:
    """Size of the model, with what it counts."""
    return replace(SIZE, title=chosen.sizes.capitalize())


def foreseen(tested: pd.DataFrame, held_out: float, counted: str) -> Chart:
    """The largest held-out runs: what was foreseen with its interval, over what came out.

    Args:
        tested: of `fits.foreseen`.
        held_out: the largest compute over the one where they begin.
        counted: how compute is counted, in words.
    """
    rows: list[dict[str, Any]] = []
    for label, run in tested.head(SHOWN).iterrows():
        name = f"{numbers.count(run['n_params'])}, {numbers.count(run['n_tokens'])} tokens"
        shared = {"group": name, "method": "run", "label": f"row {label}"}
        low, high = run.get("low"), run.get("high")
        rows += [
            {**shared, "loss": run["value"], "low": low, "high": high, "predicted": True},
            {**shared, "loss": run["loss"], "low": None, "high": None, "predicted": False},
        ]
    top = tested.iloc[0]
    error = f"{'+' if top['error'] >= 0 else '−'}{numbers.number(100 * abs(top['error']), 2)} %"
    band = " · bar: 95 %" if "low" in tested.columns else ""
    return ranges(
        rows,
        LOSS,
        title=TEST,
        subtitle=f"Hollow: foreseen by runs below 1/{held_out:g} of the largest FLOP, {counted}"
        f"{band} · filled: truth · largest: {error}",
        slots={"run": 0},
    )


def isoflop(found: Fitted, chosen: Selection) -> Chart:
    """The law along each budget, its least as a hollow point, and the runs."""
    import pandas as pd

    from workbench.scaling.parabolas import budgets

    fit, counted = replace(found.fit, draws=None), chosen.counted
    groups = [(c, rows) for c, rows in budgets(fit.runs) if rows["n_params"].nunique() > 2]
    if not groups:
        edges = np.geomspace(chosen.smallest, chosen.largest, 5)
        groups = [(float(c), fit.runs.iloc[:0]) for c in edges]
    sizes = fit.runs["n_params"].astype(float)
    rows: list[dict[str, Any]] = []
    for c, group in groups[-8:]:
        own = group["n_params"].astype(float) if len(group) else sizes
        budget = float(group[COMPUTE].median()) if len(group) else c
        grid = np.geomspace(own.min() / 1.3, own.max() * 1.3, 41)
        table = pd.DataFrame({"n_params": grid, "n_tokens": budget / counted.cost(grid) / grid})
        losses = fit.predict(fit.whole(table))["value"]
        rows += _points("line", budget, grid, losses)
        rows += [_run(label, run, budget) for label, run in group.iterrows()]
    if not any(row["part"] == "run" for row in rows):
        rows += [_run(label, run, None) for label, run in fit.runs.iterrows()]
    at = [budget for budget in dict.fromkeys(row["budget"] for row in rows) if budget is not None]
    best = counted.allocation(fit, at)
    rows += [
        {"part": "best", "budget": budget, "n_params": row["n_params"], "loss": row["loss"],
         "key": None, "label": "best"}
        for budget, (_, row) in zip(at, best.iterrows(), strict=True)
    ]  # fmt: skip
    return contours(
        rows, size_axis(chosen), LOSS, BUDGET, title=CURVES,
        subtitle=f"Points: runs · curves: the law · hollow: its least · {counted.title}",
    )  # fmt: skip


def frontier(found: Fitted, chosen: Selection) -> Chart:
    """Lines of equal loss over compute and size; the efficient frontier through their tips."""
    import pandas as pd

    fit, counted = replace(found.fit, draws=None), chosen.counted
    low, high = chosen.smallest, AHEAD * chosen.largest
    budgets = np.geomspace(low, high, 7)
    best = counted.allocation(fit, budgets)
    sizes = np.geomspace(best["n_params"].min() / 12, best["n_params"].max() * 12, 72)
    tokens = np.geomspace(best["n_tokens"].min() / 100, best["n_tokens"].max() * 100, 120)
    grid = pd.DataFrame({
        "n_params": np.repeat(sizes, len(tokens)), "n_tokens": np.tile(tokens, len(sizes)),
    })  # fmt: skip
    losses = fit.predict(fit.whole(grid))["value"].to_numpy().reshape(len(sizes), len(tokens))
    runs = fit.runs
    axis, level = compute_axis(chosen), best["loss"].to_numpy()
    inside = (sizes >= sizes[0] * 3) & (sizes <= sizes[-1] / 3)
    rows: list[dict[str, Any]] = []
    for loss in level:
        # The loss falls with tokens: where it crosses the level, read off between two of them.
        need = [
            float(np.interp(-loss, -row, np.log(tokens), left=np.nan, right=np.nan))
            for row in losses
        ]
        compute = counted.compute(sizes, np.exp(need))
        shown = np.isfinite(compute) & (compute <= high) & inside
        rows += [
            {"part": "line", "level": float(loss), COMPUTE: float(c), "n_params": float(n),
             "key": None, "label": ""}
            for c, n in zip(compute[shown], sizes[shown], strict=True)
        ]  # fmt: skip
    rows += [
        {"part": "best", "level": float(row["loss"]), COMPUTE: float(row["compute"]),
         "n_params": float(row["n_params"]), "key": None, "label": "best"}
        for _, row in best.iterrows()
    ]  # fmt: skip
    nearest = [float(level[int(np.argmin(np.abs(level - one)))]) for one in runs["loss"]]
    rows += [
        {"part": "run", "level": near, COMPUTE: float(run[COMPUTE]),
         "n_params": float(run["n_params"]), "key": str(label), "label": f"row {label}"}
        for near, (label, run) in zip(nearest, runs.iterrows(), strict=True)
    ]  # fmt: skip
    return contours(
        rows, axis, size_axis(chosen), LEVEL, title=CONTOURS,
        subtitle="Lines of equal loss · dotted: the efficient frontier · points: runs",
        extrapolated=chosen.largest,
    )  # fmt: skip


def against_compute(found: Fitted, chosen: Selection) -> Chart:
    """A law of compute alone, its band, and the best run of each budget."""
    import pandas as pd

    compute = np.geomspace(chosen.smallest, AHEAD * chosen.largest, 13)
    told = found.fit.predict(pd.DataFrame({COMPUTE: compute}))
    rows = [
        {"method": "law", COMPUTE: c, "loss": row["value"], "low": row.get("low"),
         "high": row.get("high"), "predicted": True}
        for c, (_, row) in zip(compute, told.iterrows(), strict=True)
    ]  # fmt: skip
    rows += [
        {"method": "best runs", COMPUTE: run[COMPUTE], "loss": run["loss"], "predicted": False}
        for _, run in found.fit.runs.sort_values(COMPUTE).iterrows()
    ]
    return lines(
        rows, compute_axis(chosen), LOSS, title="How does the least loss fall with compute?",
        subtitle="Filled: the best run of each budget · cased: the law, band: 95 %",
        slots={"law": 1, "best runs": 0}, marks=True, extrapolated=chosen.largest,
    )  # fmt: skip


def against_column(found: Fitted) -> Chart:
    """A law of one column of the table, and the rows that it was fitted to."""
    import pandas as pd

    fit = found.fit
    (column,), target = fit.law.columns, fit.law.target
    given = fit.runs[column].astype(float)
    grid = np.geomspace(given.min(), given.max(), 41)
    told = replace(fit, draws=None).predict(pd.DataFrame({column: grid}))["value"]
    shared = {"level": None, "key": None, "label": ""}
    rows: list[dict[str, Any]] = [
        {"part": "line", **shared, column: float(x), target: float(y)}
        for x, y in zip(grid, told, strict=True)
    ]
    rows += [
        {"part": "run", **shared, column: float(run[column]), target: float(run[target]),
         "key": str(label), "label": f"row {label}"}
        for label, run in fit.runs.iterrows()
    ]  # fmt: skip
    return contours(
        rows, axis_of(fit.runs, column), Axis(target, target.capitalize()),
        Axis("level", "Law", words="none"), title="Does the law follow the rows?",
        subtitle=f"Points: rows · curve: {fit.law.title}",
    )  # fmt: skip


def axis_of(runs: pd.DataFrame, column: str) -> Axis:
    """A column of the table across a chart; by ratio where it spans more than a decade."""
    if column == "loss":
        return LOSS
    values = runs[column].astype(float)
    words = column.replace("_", " ").capitalize()
    return Axis(column, words, scale="log" if values.max() > 10 * values.min() else "linear")


def residuals(found: Fitted, chosen: Selection) -> Chart:
    """Each run's loss over the law's, in per cent, against its size; outliers ringed.

    Of a share such as an error the difference is taken, in points.
    """
    from workbench.scaling.diagnostics import OUTLYING, outliers

    fit = found.fit
    miss = 100 * fit.residuals
    budget = _budget_of(fit.runs)
    flagged = outliers(fit).index
    rows: list[dict[str, Any]] = []
    across = next(one for one in ("n_params", COMPUTE, fit.law.columns[0])
                  if one in fit.runs.columns)  # fmt: skip
    for label, run in fit.runs.iterrows():
        point = {
            across: float(run[across]), "miss": float(miss[label]), "budget": budget.get(label),
            "key": str(label), "label": f"row {label}",
        }  # fmt: skip
        rows.append({"part": "run", **point})
        if label in flagged:
            rows.append({"part": "flag", **point, "key": None})
    ends = fit.runs[across].astype(float)
    rows += [
        {"part": "rule", across: float(end), "miss": 0.0, "budget": None, "key": None, "label": ""}
        for end in (ends.min(), ends.max())
    ]
    names = ", ".join(map(str, flagged[:4])) + (" …" if len(flagged) > 4 else "")
    ringed = f" · ringed, beyond {OUTLYING:g} MAD: row {names}" if len(flagged) else ""
    axis = size_axis(chosen) if across == "n_params" else (
        compute_axis(chosen) if across == COMPUTE else axis_of(fit.runs, across))  # fmt: skip
    share = fit.law.target in SHARES
    what = f"{fit.law.target.capitalize()} {'less' if share else 'over'} the law’s"
    darker = f" · darker: more compute, {chosen.counted.title}" if budget else ""
    return contours(
        rows, axis, Axis("miss", "Miss", unit="points" if share else "%"), BUDGET, title=RESIDUALS,
        subtitle=f"{what} · a click leaves a run out{darker}{ringed}",
    )  # fmt: skip


def exponents(found: Fitted, more: Mapping[str, Exponent]) -> Chart | None:
    """Exponent a of N* ~ C^a: here, by other ways on the same runs, and published.

    None for a law without the exponents of Chinchilla's.

    Args:
        more: exponents by other methods on the same runs, by name.
    """
    a = exponent(found.fit)
    if a is None:
        return None
    from workbench.scaling.presets import EXPONENTS, UNCONFIRMED_WORDS

    rows: list[dict[str, Any]] = [
        {"group": f"{one.title}{one.mark}", "method": PUBLISHED, "a": one.a, "low": one.low,
         "high": one.high}
        for one in EXPONENTS.values()
    ]  # fmt: skip
    rows += [
        {"group": f"Here, {name}", "method": HERE, "a": value, "low": low, "high": high}
        for name, (value, low, high) in {**more, "this law": a}.items()
    ]
    return ranges(
        rows, Axis("a", "Exponent a in N* ∝ Cᵃ"), title=EXPONENTS_ASKED,
        subtitle=f"0.5 means equally · bars: 95 %, the published ones as printed · "
        f"{UNCONFIRMED_WORDS}",
        slots={HERE: 0, PUBLISHED: OTHERS}, level=0.5,
    )  # fmt: skip


def exponent(fit: Fit) -> Exponent | None:
    """a = beta / (alpha + beta) with its 95 % interval, where the law has both."""
    if not {"alpha", "beta"} <= set(fit.params):
        return None
    value = fit.params["beta"] / (fit.params["alpha"] + fit.params["beta"])
    if fit.drawn is None or fit.params["alpha"] == fit.params["beta"]:
        return value, None, None
    many = fit.drawn["beta"] / (fit.drawn["alpha"] + fit.drawn["beta"])
    low, high = np.percentile(many, [2.5, 97.5])
    return value, float(low), float(high)


def _points(part: str, budget: float, sizes: Any, losses: Any) -> list[dict[str, Any]]:
    return [
        {"part": part, "budget": budget, "n_params": float(n), "loss": float(value), "key": None,
         "label": ""}
        for n, value in zip(sizes, losses, strict=True)
    ]  # fmt: skip


def _run(label: Any, run: Any, budget: float | None) -> dict[str, Any]:
    return {"part": "run", "budget": budget, "n_params": float(run["n_params"]),
            "loss": float(run["loss"]), "key": str(label), "label": f"row {label}"}  # fmt: skip


def _budget_of(runs: pd.DataFrame) -> dict[Any, float]:
    """The compute of each run's budget, by label."""
    from workbench.scaling.parabolas import budgets

    if not {"n_params", "n_tokens"} <= set(runs.columns):
        given = runs[COMPUTE].items() if COMPUTE in runs.columns else ()
        return {label: float(c) for label, c in given}
    return {label: c for c, group in budgets(runs) for label in group.index}
