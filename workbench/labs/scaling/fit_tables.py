"""Tables and figures of a fit: the sentence, its parameters, and how the table was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.figures import numbers
from workbench.labs.scaling.accounting import known
from workbench.labs.scaling.decision import Ahead, Decision, interval
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.selection import Selection
from workbench.labs.scaling.tables import Table
from workbench.panels.picture import Cell, Column, Figure, FiguresContent, TableContent

if TYPE_CHECKING:
    from workbench.scaling.importing import Choice
    from workbench.scaling.result import Fit

OBJECTIVES = {"huber": "Huber δ {delta}", "squared": "least squares", "absolute": "least absolute"}
SYMBOLS = {"alpha": "α", "beta": "β", "alpha_N": "α N", "alpha_D": "α D", "eta": "η"}

SAID = "What do these runs say?"
PARAMETERS = "Which numbers does the fit give?"
READ = "How was the table read?"


def said(found: Fitted, decision: Decision | Ahead | None, shown: str) -> FiguresContent:
    """The prediction against its truth, then the decision; the sentence above them.

    Args:
        decision: None for a law that divides nothing.
        shown: a word for runs that nobody trained, or nothing.
    """
    figures = []
    if found.tested is not None:
        top = found.tested.iloc[0]
        ends = interval({"v_low": top.get("low", 0), "v_high": top.get("high", 0)}, "v", _loss)
        figures += [
            Figure("Foreseen", _loss(top["value"]), "nats",
                   ends if "low" in found.tested.columns else "no interval", "predicted"),
            Figure("Its truth", _loss(top["loss"]), "nats",
                   f"missed by {numbers.number(100 * abs(top['error']), 2)} %"),
        ]  # fmt: skip
    if isinstance(decision, Ahead):
        label = f"Least loss at {numbers.number(decision.compute)}"
        loss = decision.row["loss"]
        ends = interval(decision.row, "loss", _loss) or "no interval"
        figures.append(Figure(label, _loss(loss), "nats", ends, "predicted"))
    elif decision is not None:
        row = decision.row
        figures += [
            Figure("Best size, N", numbers.count(row["n_params"]), "",
                   interval(row, "n_params", numbers.count), "predicted"),
            Figure("Best data, D", numbers.count(row["n_tokens"]), "",
                   interval(row, "n_tokens", numbers.count), "predicted"),
            Figure("Best D / N", numbers.number(row["tokens_per_param"]), "",
                   interval(row, "tokens_per_param", numbers.number), "predicted"),
            Figure("Loss", _loss(row["loss"]), "nats", interval(row, "loss", _loss), "predicted"),
        ]  # fmt: skip
    words = decision.words if decision is not None else f"{found.fit.law.title}: {found.why}"
    return FiguresContent(figures, SAID, f"{shown}{words}")


def parameters(found: Fitted) -> TableContent:
    """Each parameter with its interval, beside the published ones."""
    from workbench.scaling.presets import UNCONFIRMED_WORDS, published

    fit = found.fit
    beside = published(fit.law)
    rows: list[list[Cell | str]] = []
    for name, value in fit.params.items():
        ends = fit.intervals.get(name)
        between = f"{_plain(ends.low)} – {_plain(ends.high)}" if ends else "–"
        bound = "at its bound" if name in fit.at_bounds else ""
        bound = "changes nothing" if name in fit.vanished else bound
        told = [_plain(of[name]) if name in of else "–" for _, of in beside]
        own = Cell(_plain(value), strong=True, note=bound)
        rows.append([SYMBOLS.get(name, name), own, between, *told])
    heads = [Column("Parameter"), Column("Here", number=True), Column("95 % interval", number=True)]
    heads += [Column(f"{one.by}{one.mark}", number=True, optional=True) for one, _ in beside]
    doubt = f" · {UNCONFIRMED_WORDS}" if any(one.mark for one, _ in beside) else ""
    return TableContent(heads, rows, PARAMETERS, f"{fit.law.title} · {how(fit)}{doubt}")


def how(fit: Fit) -> str:
    """How a fit was made, in words."""
    settings = fit.settings
    objective = OBJECTIVES[settings.objective].format(delta=f"{settings.delta:g}")
    words = f"{len(fit.runs)} runs, {objective}, {settings.starts} starts"
    if fit.draws is not None:
        words += f", {len(fit.draws)} resamples ({settings.resampling})"
    return words


def read(table: Table, chosen: Selection, dropped: Sequence[str]) -> TableContent:
    """Which column was taken for what, its unit and why; for a known table, what it holds.

    Args:
        dropped: which rows were no runs, and why.
    """
    gone = [f"{words} left out" for words in chosen.left_out]
    body = ["N leaves the embedding out"] if chosen.body else []
    about = "; ".join([table.note, *body, *gone, *dropped])
    counts = ", ".join(known(table.runs)) or "none"
    about += f" · FLOP counts in the table: {counts}; in use: {chosen.counted.title}"
    if table.choices:
        heads = (Column("What"), Column("Column"), Column("In"), Column("Why", wrap=True))
        rows: list[Sequence[Cell | str]] = [
            [Cell(NAMED.get(one.target, one.target), strong=True), one.source, _unit(one), one.why]
            for one in table.choices
        ]
        return TableContent(heads, rows, READ, about)
    rows = [
        [Cell(NAMED[name], strong=True), *_range(chosen, name)]
        for name in ("n_params", "n_tokens", "flops", "loss")
        if name in chosen.runs.columns
    ]
    heads = (Column("What"), Column("Least", number=True), Column("Most", number=True),
             Column("Different", number=True))  # fmt: skip
    return TableContent(heads, rows, READ, f"{len(chosen.runs)} runs · {about}")


SCALED = {1.0: "as it stands", 1e3: "thousands", 1e6: "millions", 1e9: "billions",
          1e12: "trillions"}  # fmt: skip

NAMED = {
    "n_params": "Parameters, N", "n_non_embedding": "N without embedding",
    "embedding": "Embedding", "n_tokens": "Tokens, D", "tokens_per_step": "Tokens a step",
    "loss": "Loss", "flops": "FLOP", "unique_tokens": "Unique tokens", "weight": "Weight",
    "seed": "Seed", "method": "Method", "run": "Run", "step": "Step",
    "learning_rate": "Learning rate", "cluster": "Cluster",
    **{name: name.capitalize() for name in ("width", "depth", "heads", "inner", "vocabulary",
                                            "length", "gated")},
}  # fmt: skip


def _range(chosen: Selection, name: str) -> list[Cell | str]:
    import pandas as pd

    values = pd.to_numeric(chosen.runs[name], errors="coerce")
    write = _loss if name == "loss" else numbers.count if name != "flops" else numbers.number
    return [write(values.min()), write(values.max()), str(values.round(6).nunique())]


def _unit(one: Choice) -> str:
    if one.target == "loss":
        return one.unit
    counted = "" if one.embedding else ", no embedding"
    return SCALED.get(one.scale, f"units of {one.scale:g}") + counted


def _loss(value: float) -> str:
    return f"{value:.3f}"


def _plain(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else numbers.number(value, 4)
