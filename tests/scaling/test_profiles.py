"""Profiles and the intervals from them, against what linear regression says exactly."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import workbench.scaling
from tests.scaling.surfaces import runs
from workbench.progress import Cancelled
from workbench.scaling import Chinchilla, LossCompute, PowerLaw, fit, profile, profile_interval
from workbench.scaling.laws.law import LEAST
from workbench.scaling.profiles import noise

NORMAL = float(norm.ppf(0.975))


def scores(rows: int, spread: float) -> pd.DataFrame:
    """y = 0.5 x^0.3 with normal noise of ln y."""
    draw = np.random.default_rng(3)
    x = np.exp(draw.uniform(0, 6, rows))
    return pd.DataFrame({"x": x, "score": 0.5 * x**0.3 * np.exp(spread * draw.normal(size=rows))})


def regression(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, float]:
    """ln c and p by least squares, the inverse of X^T X, and the residual variance."""
    design = np.stack([np.ones(len(table)), np.log(table["x"])], axis=1)
    found, squares, *_ = np.linalg.lstsq(design, np.log(table["score"]), rcond=None)
    return found, np.linalg.inv(design.T @ design), float(squares[0]) / (len(table) - 2)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_interval_of_a_linear_law_is_that_of_regression(weight: float) -> None:
    table = scores(30, 0.1)
    best, inverse, variance = regression(table)
    found = fit(PowerLaw(), table.assign(weight=weight), objective="squared")
    half = NORMAL * np.sqrt(variance * np.diag(inverse))
    for name, place, outward in (("p", 1, float), ("c", 0, math.exp)):
        interval = profile_interval(found, name)
        assert interval.value == found.params[name] and interval.count == 30
        assert interval.value == pytest.approx(outward(best[place]), rel=1e-7)
        ends = (interval.low, interval.high)
        wanted = [outward(best[place] + side * half[place]) for side in (-1, 1)]
        assert ends == pytest.approx(wanted, abs=5e-3 * half[place])


@pytest.mark.slow
def test_the_noise_of_a_small_delta_is_that_of_least_absolute_deviations() -> None:
    table = scores(500, 0.1)
    density = 1 / (0.1 * math.sqrt(2 * math.pi))
    robust, absolute = (fit(PowerLaw(), table, objective=kind) for kind in ("huber", "absolute"))
    assert noise(robust) == pytest.approx(1e-3 / (2 * density), rel=0.15)
    assert noise(absolute) / absolute.settings.unit == pytest.approx(1 / (2 * density), rel=0.15)
    _, inverse, _ = regression(table)
    half = NORMAL * math.sqrt(inverse[1, 1]) / (2 * density)
    for one in (robust, absolute):
        interval = profile_interval(one, "p")
        assert interval.low < 0.3 < interval.high
        assert interval.high - interval.low == pytest.approx(2 * half, rel=0.25)


@pytest.mark.slow
def test_an_end_that_the_table_leaves_open_is_that_of_the_range() -> None:
    draw = np.random.default_rng(0)
    compute = np.geomspace(1e17, 1e20, 20)
    losses = 80.0 * compute**-0.07 * np.exp(0.01 * draw.normal(size=20))
    table = pd.DataFrame({"flops": compute, "loss": losses})
    interval = profile_interval(fit(LossCompute(), table, objective="squared"), "E")
    assert interval.low == pytest.approx(math.exp(LEAST))
    assert interval.value < interval.high < losses.min()


@pytest.mark.slow
def test_a_profile_is_least_at_the_fit() -> None:
    table = runs(noise=0.005, seed=2)
    found = fit(Chinchilla(), table)
    at = found.params["alpha"]
    rows = profile(found, "alpha", [0.9 * at, at, 1.1 * at])
    assert rows["over"].iloc[1] == pytest.approx(0, abs=1e-6)
    assert rows["over"].iloc[0] > 1e-3 and rows["over"].iloc[2] > 1e-3
    with pytest.raises(ValueError, match="gamma"):
        profile(found, "gamma", [1.0])
    with pytest.raises(ValueError, match="gamma"):
        profile_interval(found, "gamma")


def test_an_interval_can_be_cancelled_and_needs_runs_to_spare() -> None:
    def stop(done: int, total: int, note: str = "", preview: object = None) -> None:
        raise Cancelled

    found = fit(PowerLaw(), scores(8, 0.1), objective="squared")
    with pytest.raises(Cancelled):
        profile_interval(found, "p", report=stop)
    two = fit(PowerLaw(), scores(8, 0.1).assign(weight=[1.0] * 2 + [0.0] * 6), objective="squared")
    with pytest.raises(ValueError, match="2 runs and 2 parameters leave no noise"):
        profile_interval(two, "p")


def test_diagnostics_are_names_of_the_package() -> None:
    for name in ("profile", "profile_interval", "leave_one_size_out", "influence", "wald",
                 "back_test", "outliers"):  # fmt: skip
        assert name in workbench.scaling.__all__ and callable(getattr(workbench.scaling, name))
