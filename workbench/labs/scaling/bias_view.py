"""Bias: how wrong IsoFLOP parabolas are on a surface that is known, with no noise at all."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.figures import numbers
from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, contours, lines
from workbench.labs.scaling.fit_charts import BUDGET, LOSS
from workbench.labs.scaling.lab_view import RECORD, ScalingView
from workbench.panels.charted import EXPORTS, others
from workbench.panels.panel import Panel
from workbench.panels.picture import (
    Cell,
    ChartContent,
    Column,
    Content,
    Figure,
    FiguresContent,
    Picture,
    TableContent,
)
from workbench.panels.view import KnobGroup, Preset, Slot, Values
from workbench.progress import Report
from workbench.scaling.bias import BUDGETS, POINTS, TARGET, best_tokens, parabola_bias, simulated
from workbench.scaling.decisions import losses
from workbench.scaling.flops import FLOPS
from workbench.scaling.laws import Chinchilla
from workbench.scaling.parabolas import parabola
from workbench.scaling.presets import BESIROGLU, HOFFMANN
from workbench.scaling.record import law_as_json
from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    import pandas as pd

DESIGN = "design"

SURFACES: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "hoffmann": ("Hoffmann", HOFFMANN),
    "besiroglu": ("Besiroglu", BESIROGLU),
    "symmetric": ("Symmetric", {"E": 1.69, "A": 400, "alpha": 0.31, "B": 400, "beta": 0.31}),
    "asymmetric": ("Asymmetric", {"E": 1.69, "A": 400, "alpha": 0.465, "B": 400, "beta": 0.155}),
}
"""Name and parameters of each truth; the last two are ours."""

WIDTHS = (2.0, 4.0, 8.0, 16.0)


class Design(Knobs):
    """A truth, and where its runs lie."""

    surface: Literal["hoffmann", "besiroglu", "symmetric", "asymmetric"] = knob(
        "hoffmann", label="Truth", choices={key: name for key, (name, _) in SURFACES.items()},
        help="Chinchilla’s surface with these parameters: there is nothing else in the runs.",
    )  # fmt: skip
    width: float = knob(
        4.0, ge=1.2, le=64, scale="log", label="Reach", unit="×",
        help="A budget’s runs have from the best tokens over this to the best tokens times this.",
    )  # fmt: skip
    centre: float = knob(
        1.0, ge=0.1, le=10, scale="log", label="Off centre", unit="×",
        help="Tokens in the middle of the smallest budget’s runs, over the best.",
    )  # fmt: skip
    drift: float = knob(
        1.0, ge=0.1, le=10, scale="log", label="Drift", unit="×",
        help="How far the middle wanders from the smallest budget to the largest.",
    )  # fmt: skip
    noise: float = knob(
        0.0, ge=0, le=3, step=0.05, label="Noise", unit="%",
        help="Standard deviation of ln L; with 0 every miss is the parabola’s own.",
    )  # fmt: skip
    points: int = knob(POINTS, ge=4, le=50, label="Runs a budget", help="Spread by ratio.")


PRESETS = (
    Preset("No noise, well centred", {DESIGN: {"width": 4.0}}),
    Preset("The grid drifts", {DESIGN: {"width": 8.0, "drift": 3.0}}),
    Preset("An asymmetric truth", {DESIGN: {"surface": "asymmetric", "width": 16.0}}),
)


def bias(settings: Mapping[str, Mapping[str, Any]] | str | None = None) -> Panel:
    """The panel of what parabolas get wrong.

    Args:
        settings: what "Copy settings" gave.
    """
    return Panel(BiasView(), settings=settings)


class BiasView(ScalingView):
    """Parabolas against the truth, and the miss of their extrapolation."""

    title = "Bias of approach 2"
    study_line = "IsoFLOP parabolas on a surface that is known; simulated, 1e17 to 1e21 FLOP"
    opener = "bias"
    groups = (KnobGroup(DESIGN, "Design", Design),)
    presets = PRESETS
    automatic = False
    verb = "Compute"
    exports = (*EXPORTS, RECORD, *others(error="Miss by reach"))
    layout = (
        (Slot("curves", "chart", 1.2), Slot("error", "chart", 1.0)),
        (Slot("figures", "figures", folds=False),),
        (Slot("table", "table"),),
    )

    def predict(self, values: Values) -> Picture:
        """Everything is computed at once."""
        knobs = design(values)
        found = miss(knobs)
        contents: dict[str, Content] = {
            "curves": ChartContent.of(curves(knobs)),
            "error": ChartContent.of(by_reach(knobs)),
            "figures": figures(found),
            "table": table(knobs),
        }
        noisy = f"{knobs.noise:g} % noise" if knobs.noise else "no noise"
        return Picture(contents, basis="predicted", details=("simulated", noisy))

    def run(self, values: Values, report: Report) -> Iterator[Picture]:
        """The same picture: nothing here is measured."""
        report(0, 1, "Computing")
        yield self.predict(values)

    def tables(self, values: Values, picture: Picture) -> Mapping[str, Any]:
        """The runs with their noise."""
        return {"runs": drawn(design(values))}

    def records(self, values: Values) -> Mapping[str, Any]:
        """The truth, its design, and what approach 2 made of it."""
        knobs = design(values)
        name, truth = SURFACES[knobs.surface]
        return {
            "fit": {
                "kind": "approach 2 on a known surface",
                "law": law_as_json(Chinchilla()),
                "truth": {"name": name, **truth},
                "budgets": list(BUDGETS),
                "design": knobs.model_dump(mode="json"),
                "seed": 0,
                "target": TARGET,
                "found": miss(knobs),
            }
        }


def design(values: Values) -> Design:
    """The truth and its runs."""
    knobs = values[DESIGN]
    assert isinstance(knobs, Design), "the form's only group"
    return knobs


def miss(knobs: Design, **changes: Any) -> dict[str, float]:
    """Approach 2 on the chosen truth; `changes` replace settings of `parabola_bias`."""
    _, truth = SURFACES[knobs.surface]
    given = {"width": knobs.width, "centre": knobs.centre, "drift": knobs.drift,
             "noise": knobs.noise / 100, "points": knobs.points}  # fmt: skip
    return parabola_bias(truth, **{**given, **changes})


def drawn(knobs: Design) -> pd.DataFrame:
    """The truth's runs with the noise."""
    _, truth = SURFACES[knobs.surface]
    runs = simulated(truth, knobs.width, knobs.centre, knobs.drift, BUDGETS, knobs.points)
    draw = np.random.default_rng(0)
    runs["loss"] *= np.exp(knobs.noise / 100 * draw.standard_normal(len(runs)))
    return runs


def curves(knobs: Design) -> Chart:
    """Runs, the parabola through them, its vertex; dotted: where the truth's least is."""
    _, truth = SURFACES[knobs.surface]
    runs = drawn(knobs)
    rows: list[dict[str, Any]] = []
    for budget, group in runs.groupby("budget", sort=True):
        x, loss = np.log(group["n_tokens"].to_numpy()), group["loss"].to_numpy()
        at, least, curvature = parabola(x, loss)
        grid = np.linspace(x.min(), x.max(), 31)
        shared = {"budget": float(budget), "key": None, "label": ""}
        rows += [
            {"part": "line", **shared, "n_tokens": float(np.exp(one)),
             "loss": float(least + curvature * (one - at) ** 2)}
            for one in grid
        ]  # fmt: skip
        rows += [
            {"part": "run", **shared, "n_tokens": float(run["n_tokens"]),
             "loss": float(run["loss"])}
            for _, run in group.iterrows()
        ]  # fmt: skip
        best = best_tokens(truth, float(budget))
        least_true = losses(
            Chinchilla(), truth, np.asarray([budget / FLOPS / best]), np.asarray([best])
        )[0]
        if np.isfinite(at) and x.min() <= at <= x.max():
            rows.append({"part": "best", **shared, "n_tokens": float(np.exp(at)),
                         "loss": float(least), "label": "vertex"})  # fmt: skip
        rows.append({"part": "flag", **shared, "n_tokens": best, "label": "truth",
                     "loss": float(least_true)})  # fmt: skip
    return contours(
        rows, Axis("n_tokens", "Tokens", scale="log", words="count"), LOSS, BUDGET,
        title="Does the parabola find the least?",
        subtitle="Points: runs · curves: parabolas · hollow: their vertices · rings: the truth · "
        "compute counted as 6 N D",
        height=250,
    )  # fmt: skip


def by_reach(knobs: Design) -> Chart:
    """The miss of D* against the reach, with no noise, and with it where there is some."""
    widths = np.geomspace(1.5, 32, 13)
    rows = [
        {"method": "no noise", "width": float(w), "error": 100 * miss(knobs, width=float(w),
                                                                        noise=0.0)["error"]}
        for w in widths
    ]  # fmt: skip
    if knobs.noise:
        rows += [
            {"method": "this noise", "width": float(w),
             "error": 100 * float(np.clip(miss(knobs, width=float(w))["error"], -1, 3))}
            for w in widths
        ]  # fmt: skip
    return lines(
        rows, Axis("width", "Reach of a budget’s runs (×)", scale="log"),
        Axis("error", "Miss of D*", unit="%"), title="How far off is the extrapolation?",
        subtitle=f"Best tokens at {numbers.number(TARGET)} FLOP, counted as 6 N D, over the truth"
        " · dotted: now",
        slots={"no noise": 0, "this noise": 2}, level=0.0, upright={"now": knobs.width}, height=250,
    )  # fmt: skip


def figures(found: Mapping[str, float]) -> FiguresContent:
    """The miss, and what it is made of."""
    error = found["error"]
    way = "too few" if error < 0 else "too many"
    off = found["exponent"] - found["true_exponent"]
    items = [
        Figure("Miss of D*", _signed(round(100 * error, 2), "%"), "",
               f"at {numbers.number(TARGET)} FLOP", "predicted"),
        Figure("D* by parabolas", numbers.count(found["n_tokens"]), "tokens", "extrapolated",
               "predicted"),
        Figure("D* in truth", numbers.count(found["true_tokens"]), "tokens", "from formula"),
        Figure("Exponent found", f"{found['exponent']:.4f}", "", "of D* against C", "predicted"),
        Figure("Exponent in truth", f"{found['true_exponent']:.4f}", "", "α / (α + β)"),
    ]  # fmt: skip
    if abs(error) < 5e-4:
        words = "Parabolas find this truth: its two terms fall alike."
    else:
        words = (
            f"Extrapolated to {numbers.number(TARGET)} FLOP, parabolas ask for {way} tokens by "
            f"{numbers.number(abs(100 * error), 2)} %"
        )
        kept = "the exponent is right, the factor is not" if abs(off) < 1e-3 else (
            f"the exponent is off by {_signed(off)}")  # fmt: skip
        words += f"; {kept}."
    return FiguresContent(items, "What the parabolas get wrong", words)


def _signed(value: float, unit: str = "") -> str:
    sign = "+" if value > 0 else numbers.MINUS if value < 0 else ""
    return f"{sign}{numbers.setting(abs(value))} {unit}".strip()


@functools.lru_cache(maxsize=256)
def _clean(surface: str, width: float, centre: float, drift: float) -> dict[str, float]:
    """With no noise and the usual runs."""
    return parabola_bias(SURFACES[surface][1], width=width, centre=centre, drift=drift)


def table(knobs: Design) -> TableContent:
    """The miss of every truth at four reaches, centred and drifting as chosen, with no noise."""
    rows: list[Sequence[Cell | str]] = []
    for key, (name, _) in SURFACES.items():
        cells = []
        for width in WIDTHS:
            found = _clean(key, width, knobs.centre, knobs.drift)
            cells.append(Cell(_signed(round(100 * found["error"], 2), "%"), basis="predicted"))
        off = found["exponent"] - found["true_exponent"]
        exponent = _signed(round(off, 4)) if abs(off) >= 5e-5 else "0"
        rows.append([Cell(name, strong=key == knobs.surface), *cells,
                     Cell(exponent, basis="predicted")])  # fmt: skip
    columns = [Column("Truth"), *(Column(f"Reach {w:g} ×", number=True) for w in WIDTHS),
               Column("Exponent, 16 ×", number=True)]  # fmt: skip
    about = f"Miss of D* at {numbers.number(TARGET)} FLOP with no noise, {POINTS} runs a budget"
    return TableContent(columns, rows, "And on other truths?", about)
