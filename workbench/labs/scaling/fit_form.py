"""How a law is fitted: which, what is minimised, from where, how often anew, what is held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from workbench.panels.view import Problem, Values
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    import pandas as pd

    from workbench.labs.scaling.selection import Selection
    from workbench.scaling.laws.law import Law
    from workbench.scaling.settings import Settings

FIT = "fit"

LAWS: Mapping[str, str] = {
    "chinchilla": "Chinchilla", "tied": "One exponent", "kaplan": "Kaplan",
    "over-training": "Over-training", "data-constrained": "Repeated data",
    "loss-compute": "Loss and compute", "broken": "Broken",
}  # fmt: skip

MORE: Mapping[str, str] = {
    "precision": "Few bits", "qat-loss": "Loss after QAT", "qat-fraction": "Share of QAT",
    "post-training": "Loss by PTQ",
    "downstream-error": "Task error", "downstream-accuracy": "Task accuracy",
    "power": "Power law of a score", "bounded-power": "Bounded power law",
}  # fmt: skip
"""Laws of other columns, which stand in the list where the table has them."""

ABSCISSAE = ("x", "gflops", "millions", "million_pairs")
"""Columns that a power law of a score may be over, the first that there is."""

OF_COMPUTE = ("loss-compute", "broken")
"""Laws of compute alone, which are fitted to the best run of each budget."""

REPEATED = "data-constrained"
"""The law that runs of many epochs are for."""

HELD_OUT = 8.0
"""Of budgets that are a decade apart, the largest; of half decades, the two largest."""


def _law_knob(choices: Mapping[str, str]) -> Any:
    return knob(
        "chinchilla", label="Law", choices=dict(choices), static=True,
        help="L = E + A/Nᵃ + B/Dᵇ for Chinchilla; the others follow their papers. Laws of bits, of "
        "quantised training, of task scores and of one quantity stand here too where the panel "
        "opens on a table that has their columns.",
        source="Hoffmann et al. 2022, eq. 2",
    )  # fmt: skip


class Fitting(Knobs):
    """A law, and how it is fitted."""

    law: Literal["chinchilla", "tied", "kaplan", "over-training", "data-constrained",
                 "loss-compute", "broken"] = _law_knob(LAWS)  # fmt: skip
    objective: Literal["huber", "squared", "absolute"] = knob(
        "huber", label="Objective",
        choices={"huber": "Huber", "squared": "Squares", "absolute": "Absolute"},
        help="Of residuals of ln L, summed over runs.",
    )  # fmt: skip
    delta: float = knob(
        1e-3, ge=1e-5, le=1, scale="log", label="δ", visible_when={"objective": "huber"},
        paper=1e-3, help="Where Huber’s function turns from the square to the absolute value.",
        source="Hoffmann et al. 2022, §3.3",
    )  # fmt: skip
    starts: int = knob(
        64, ge=1, le=512, scale="log", label="Starts",
        help="Points the search begins at, spread over the law’s box.",
    )  # fmt: skip
    resamples: int = knob(
        400, ge=0, le=4000, step=100, label="Resamples",
        help="Tables drawn anew from this one, with replacement, for 95 % intervals; 0 for none.",
    )  # fmt: skip
    resampling: Literal["case", "size", "cluster", "parametric"] = knob(
        "case", label="Drawn anew",
        choices={"case": "Rows", "size": "Sizes", "cluster": "Clusters", "parametric": "Misses"},
        help="Each row alone, all rows of one size together, all of one cluster (the column of "
        "that name; the run, where all points of a log are taken; else the size), or the "
        "residuals.",
    )  # fmt: skip
    held_out: float = knob(
        HELD_OUT, ge=1.5, le=1000, scale="log", label="Held out", unit="×",
        help="The test fits runs below the largest compute over this, and predicts the others.",
    )  # fmt: skip
    ahead: float = knob(
        10.0, ge=1, le=100, scale="log", label="Look ahead", unit="×",
        help="The sentence is about so many times the compute of the largest run.",
    )  # fmt: skip


def fitting(values: Values) -> Fitting:
    """How the law is fitted; the usual way where the form does not ask."""
    knobs = values.get(FIT, Fitting())
    assert isinstance(knobs, Fitting), "the form's group of this name"
    return knobs


def drawn_apart(chosen: Selection, knobs: Fitting) -> list[Problem]:
    """Says that points of one run are drawn as if they were independent."""
    runs = chosen.runs
    if knobs.resampling != "case" or not knobs.resamples or "cluster" not in runs.columns:
        return []
    if not runs["cluster"].duplicated().any():
        return []
    words = "Rows of a cluster are not independent: draw Clusters anew, or intervals are too narrow"
    return [Problem("warn", "resampling", words, FIT)]


def form_for(runs: pd.DataFrame) -> type[Fitting]:
    """The form for a table: with the laws whose columns it has."""
    offered = more_laws(runs)
    if not offered:
        return Fitting
    choices = {**LAWS, **{key: MORE[key] for key in offered}}
    wanted: Any = {"law": (Literal[tuple(choices)], _law_knob(choices))}
    found: type[Fitting] = create_model("Fitting", __base__=Fitting, **wanted)
    return found


def law_of(knobs: Fitting, runs: pd.DataFrame | None = None) -> Law:
    """The law a form asks for.

    Args:
        runs: whose columns settle which quantities a law of `MORE` is of.
    """
    from workbench.labs.scaling.selection import COMPUTE
    from workbench.scaling.laws import (
        Broken,
        Chinchilla,
        DataConstrained,
        Kaplan,
        LossCompute,
        OverTraining,
    )

    made: dict[str, Any] = {
        "chinchilla": Chinchilla(), "tied": Chinchilla(tied=True), "kaplan": Kaplan(),
        "over-training": OverTraining(), "data-constrained": DataConstrained(),
        "loss-compute": LossCompute(over=COMPUTE), "broken": Broken(over=COMPUTE),
    }  # fmt: skip
    key = str(knobs.law)
    found: Law = made[key] if key in made else _more(key, runs)
    return found


def more_laws(runs: pd.DataFrame) -> list[str]:
    """Keys of `MORE` whose columns a table has."""
    laws = {key: _more(key, runs) for key in MORE}
    return [key for key, law in laws.items() if {*law.columns, law.target} <= set(runs.columns)]


def _more(key: str, runs: pd.DataFrame | None) -> Law:
    """A law of `MORE` as a table would have it fitted."""
    from workbench.scaling.laws import (
        BoundedPower,
        DownstreamAccuracy,
        DownstreamError,
        PostTraining,
        PowerLaw,
        PrecisionLaw,
        QATFraction,
        QATLoss,
    )
    from workbench.scaling.laws.precision import PARTS

    columns = () if runs is None else tuple(map(str, runs.columns))
    over = next((name for name in ABSCISSAE if name in columns), ABSCISSAE[0])
    parts: tuple[str, ...] = PARTS
    if runs is not None:
        varied = (part for part in PARTS if f"bits_{part}" in columns)
        parts = tuple(part for part in varied if runs[f"bits_{part}"].nunique() > 1) or PARTS
    made: dict[str, Any] = {
        "precision": PrecisionLaw(parts=parts), "qat-loss": QATLoss(),
        "qat-fraction": QATFraction(), "downstream-error": DownstreamError(),
        "downstream-accuracy": DownstreamAccuracy(), "power": PowerLaw(over),
        "bounded-power": BoundedPower(over), "post-training": PostTraining(),
    }  # fmt: skip
    found: Law = made[key]
    return found


def settings_of(knobs: Fitting) -> Settings:
    """The fit's settings that a form asks for."""
    from workbench.scaling.settings import Settings

    return Settings(
        knobs.objective, knobs.delta, knobs.starts, knobs.resamples, knobs.resampling, seed=0
    )
