"""Diagnostics against what they stand for: refits, held parameters, and known sets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.scaling.surfaces import TRUTH, runs
from workbench.scaling import Chinchilla, fit
from workbench.scaling.diagnostics import (
    back_test,
    influence,
    leave_one_size_out,
    outliers,
    wald,
)
from workbench.scaling.presets import HOFFMANN

COMPUTE = 1e23


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return runs(noise=0.005, seed=2)


def test_influence_is_what_a_refit_without_the_run_does(table: pd.DataFrame) -> None:
    found = fit(Chinchilla(), table, objective="squared")
    told = influence(found, COMPUTE)
    there = np.log(found.allocation(COMPUTE)["n_tokens"].iloc[0])
    for row in told.abs().sort_values(ascending=False).index[:3]:
        rest = fit(Chinchilla(), table.drop(index=row), objective="squared", near=found.fitted)
        moved = np.log(rest.allocation(COMPUTE)["n_tokens"].iloc[0]) - there
        assert told[row] == pytest.approx(moved, rel=0.25, abs=2e-3)


def test_each_size_is_left_out_once(table: pd.DataFrame) -> None:
    found = leave_one_size_out(fit(Chinchilla(), table))
    assert sorted(found["n_params"]) == sorted(table["n_params"].unique())
    assert found["alpha"].std() < 0.1


def test_the_largest_runs_are_predicted_from_the_others(table: pd.DataFrame) -> None:
    found = back_test(fit(Chinchilla(), table, bootstrap=64))
    compute = 6 * table["n_params"] * table["n_tokens"]
    assert len(found) == (compute > compute.max() / 10).sum()
    assert found["error"].abs().max() < 0.05
    assert (found["low"] <= found["high"]).all()


def test_a_run_that_went_wrong_stands_out(table: pd.DataFrame) -> None:
    wrong = table.copy()
    wrong.loc[20, "loss"] *= 1.3
    assert 20 in outliers(fit(Chinchilla(), wrong)).index
    assert 20 not in outliers(fit(Chinchilla(), table)).index


@pytest.mark.slow
def test_equal_laws_are_not_told_apart_and_others_are(table: pd.DataFrame) -> None:
    found = fit(Chinchilla(), table, bootstrap=300)
    assert wald(found, TRUTH).p > 0.01
    assert wald(found, HOFFMANN).p < 1e-6
    same = fit(Chinchilla(), runs(noise=0.005, seed=9), bootstrap=300)
    assert wald(found, same).p > 0.01 and wald(found, same).degrees == 5
    told = wald(found, HOFFMANN)
    # Besiroglu et al. 2024 print chi2(5) = 238.4, p = 1.7e-49: here by draws spread as wide.
    assert found.draws is not None
    logs = np.log(found.draws)
    wider = np.exp(logs.mean(0) + (logs - logs.mean(0)) * np.sqrt(told.statistic / 238.4))
    names = found.law.names
    for name in ("alpha", "beta"):
        place = names.index(name)
        own = found.draws[:, place]
        wider[:, place] = own.mean() + (own - own.mean()) * np.sqrt(told.statistic / 238.4)
    printed = wald(replace(found, draws=wider), HOFFMANN)
    assert (round(printed.statistic, 1), printed.degrees) == (238.4, 5)
    assert f"{printed.p:.1e}" == "1.7e-49"
    with pytest.raises(ValueError, match="bootstrap"):
        wald(fit(Chinchilla(), table), TRUTH)
    with pytest.raises(ValueError, match="two laws"):
        wald(found, fit(Chinchilla(tied=True), table))
