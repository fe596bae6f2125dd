"""Tables of runs that a page can open: the shipped sweep, a simulated one, or one that is brought.

`python -m workbench.labs.scaling.record` writes the simulated table anew.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench import shipped
from workbench.scaling.flops import FLOPS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.importing import Choice
    from workbench.sweeps import Study

FOLDER = "data/scaling-lab"
SWEEP, CURVES = f"{FOLDER}/runs.csv", f"{FOLDER}/curves.csv"
SIMULATED = f"{FOLDER}/simulated.csv"

ADDITIONS = "forward_additions"
"""Column of the additions that ternary weights need in place of forward products."""

NOISE, SEED = 0.003, 0
"""Standard deviation of ln L in the simulated table, and the seed of its draws."""

BUDGETS = (1e18, 3e18, 1e19, 3e19, 1e20)
SIZES = 9
"""Runs of a budget, from a sixth of the best tokens to six times as many."""

STEPS = 100
"""Points of a simulated curve."""

VARIANT = {"A": 0.9, "B": 0.85}
"""Factors of the law's terms for the second simulated method, which is ours."""

REFERENCE_NAME, VARIANT_NAME = "reference", "variant"


@dataclass(frozen=True, eq=False)
class Table:
    """Runs with what is known of them.

    Attributes:
        title: on the screen.
        note: where they come from, in one line.
        runs: a row a run, under this library's names.
        raw: as it was read, where it was brought.
        choices: which column was taken for what, where it was brought.
        real: whether somebody trained these runs.
        curves: a row a step of a run, `run` beside the same names, where they are known.
        curves_of: what their loss is, where that is not the loss of the runs.
        assumed: what is taken for granted of points whose learning rates are not known.
    """

    title: str
    note: str
    runs: pd.DataFrame
    raw: pd.DataFrame | None = None
    choices: Sequence[Choice] = field(default=())
    real: bool = True
    curves: pd.DataFrame | None = None
    curves_of: str = ""
    assumed: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """In the order of their rows."""
        from workbench.scaling.selecting import methods_of

        return methods_of(self.runs)


def opened(source: str | Path | pd.DataFrame | Study | None = None) -> Table:
    """The table of a file, a data frame or a study; without one the shipped sweep, else a
    simulated one.

    Raises:
        LogError: a file that cannot be read, or a study without a finished run.
        TypeError: something else.
    """
    from workbench.labs.scaling.brought import mapped, source_of

    return shipped_sweep() or simulated() if source is None else mapped(source_of(source))


@functools.cache
def shipped_sweep() -> Table | None:
    """The sweep that ships; None where there is none."""
    runs = _read(SWEEP)
    if runs is None:
        return None
    device = f", {runs['device'].iloc[0]}" if "device" in runs.columns else ""
    note = f"{len(runs)} runs on bytes of English, a token each{device}"
    return Table("Shipped sweep", note, runs, curves=_curves(runs), curves_of="training loss")


def _curves(runs: pd.DataFrame) -> pd.DataFrame | None:
    """Losses on the way, with what is known of each run; its FLOPs grow with its tokens."""
    steps = _read(CURVES)
    if steps is None:
        return None
    about = runs.drop(columns=["n_tokens", "loss"]).loc[steps["row"]].reset_index(drop=True)
    found = about.assign(run=steps["row"], n_tokens=steps["n_tokens"], loss=steps["loss"])
    share = found["n_tokens"] / runs["n_tokens"].loc[steps["row"]].to_numpy()
    flops = [n for n in found.columns if str(n).startswith("flops_") or n == ADDITIONS]
    return found.assign(**{str(name): found[name] * share for name in flops})


@functools.cache
def simulated() -> Table:
    """Two methods at five budgets, from a published law with noise: no runs of anyone."""
    from workbench.scaling.presets import PRESETS

    note = (
        f"Simulated: {PRESETS['besiroglu'].source}, {100 * NOISE:g} % noise, seed {SEED}; "
        "the variant is ours"
    )
    found = _read(SIMULATED)
    runs = simulate() if found is None else found
    return Table("Simulated runs", note, runs, real=False, curves=on_the_way(runs))


def on_the_way(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows by step of simulated runs: the law at the tokens so far, with the run's own noise."""
    import pandas as pd

    from workbench.scaling.decisions import losses
    from workbench.scaling.laws.chinchilla import Chinchilla

    parts = []
    for label, run in runs.iterrows():
        tokens = run["n_tokens"] * np.linspace(1 / STEPS, 1, STEPS)
        sizes = np.full(STEPS, float(run["n_params"]))
        loss = losses(Chinchilla(), truth(str(run["method"])), sizes, tokens)
        about = {"run": label, "method": run["method"], "n_params": run["n_params"]}
        parts.append(
            pd.DataFrame({**about, "n_tokens": tokens, "loss": loss * run["loss"] / loss[-1]})
        )
    found = pd.concat(parts, ignore_index=True)
    return found.assign(flops_total=FLOPS * found["n_params"] * found["n_tokens"])


def truth(method: str) -> dict[str, float]:
    """Parameters of the law that a simulated method follows."""
    from workbench.scaling.presets import BESIROGLU

    factors = VARIANT if method == VARIANT_NAME else {}
    return {key: value * factors.get(key, 1.0) for key, value in BESIROGLU.items()}


def simulate() -> pd.DataFrame:
    """The rows of the simulated table."""
    import pandas as pd

    from workbench.scaling.bias import simulated as curves

    draw = np.random.default_rng(SEED)
    tables = []
    for name in (REFERENCE_NAME, VARIANT_NAME):
        runs = curves(truth(name), 6.0, 1.0, 1.0, BUDGETS, SIZES)
        runs["loss"] *= np.exp(NOISE * draw.standard_normal(len(runs)))
        tables.append(runs.assign(method=name))
    found = pd.concat(tables, ignore_index=True)
    found[["n_params", "n_tokens"]] = found[["n_params", "n_tokens"]].round()
    found["loss"] = found["loss"].round(6)
    return found.assign(flops_total=FLOPS * found["n_params"] * found["n_tokens"])


def _read(name: str) -> pd.DataFrame | None:
    import pandas as pd

    try:
        place = shipped.path(name)
    except FileNotFoundError:
        return None
    table = pd.read_csv(place, encoding="utf-8", dtype=str)
    return table.assign(**{str(name): _exact(table[name]) for name in table.columns})


def _exact(column: pd.Series) -> pd.Series:
    """Numbers as they were written, to the last bit; a column of words stays."""
    for kind in (int, float):
        try:
            return column.map(kind)
        except ValueError:
            continue
    return column
