"""Sweeps as tables of runs: finished runs of a study, and the losses that they logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.scaling.importing.logs import LogError
from workbench.scaling.importing.proposal import applied, propose
from workbench.scaling.importing.steps import every_point

if TYPE_CHECKING:
    from workbench.sweeps import Study

KEPT_BY_THE_STUDY = ("state", "seconds", "note", "error", "sessions")


def finished(study: Study) -> pd.DataFrame:
    """A row for each finished run: `run`, its settings and its results, as they are named there.

    Raises:
        LogError: no run has finished.
    """
    table = study.table()
    done = table[table["state"] == "finished"]
    if done.empty:
        raise LogError(f"study {study.name!r} has no finished run")
    kept = done.drop(columns=[name for name in KEPT_BY_THE_STUDY if name in done.columns])
    return kept.dropna(axis="columns", how="all").reset_index(drop=True)


def logged(study: Study, runs: pd.DataFrame) -> pd.DataFrame | None:
    """The losses that runs logged, a row a step: what is known of the run, and tokens so far.

    Tokens are those that were logged, else the run's by the share of its steps; FLOPs likewise.
    None where no loss was logged, or runs have no tokens.

    Args:
        study: whose.
        runs: finished ones under this library's names, `run` among them.
    """
    steps = study.curves()
    settings = {name for one in study.plan for name in one["settings"]}
    own = steps.drop(columns=[*(settings & set(steps.columns)), "run", "step"])
    choices = [one for one in propose(own) if one.target in ("loss", "n_tokens", "learning_rate")]
    if "loss" not in {one.target for one in choices} or not {"run", "n_tokens"} <= set(runs):
        return None
    seen = applied(own, choices).assign(run=steps["run"], step=steps["step"].astype(float))
    seen = seen[seen["run"].isin(runs["run"]) & seen["step"].notna()]
    if seen.empty:
        return None
    # A setting named like the rate is its height, no schedule.
    known = runs.drop(columns="learning_rate", errors="ignore").set_index("run")
    whole = known.loc[seen["run"]].reset_index(drop=True)
    seen = seen.reset_index(drop=True)
    ends = whole["step"] if "step" in whole else seen.groupby("run")["step"].transform("max")
    tokens = whole["n_tokens"].astype(float)
    share = seen["n_tokens"] / tokens if "n_tokens" in seen else seen["step"] / ends.astype(float)
    grown = [name for name in whole.columns if str(name).startswith("flops")]
    found = whole.assign(
        n_tokens=tokens * share, **{str(name): whole[name].astype(float) * share for name in grown}
    )
    return every_point(
        found.assign(**{str(name): seen[name] for name in seen if name != "n_tokens"})
    )
