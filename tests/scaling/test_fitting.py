"""Fits find what made the runs, agree with scipy, and do not depend on how the table is written."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from tests.scaling.surfaces import ASYMMETRIC, HOFFMANN, SYMMETRIC, TRUTH, runs
from workbench.progress import Cancelled
from workbench.scaling import Chinchilla, Fit, fit, problem
from workbench.scaling.resampling import together
from workbench.scaling.solver import solve
from workbench.scaling.starts import spread


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["huber", "squared", "absolute"])
@pytest.mark.parametrize("truth", [TRUTH, HOFFMANN, SYMMETRIC, ASYMMETRIC])
def test_a_surface_without_noise_gives_its_parameters_back(
    truth: dict[str, float], objective: str
) -> None:
    found = fit(Chinchilla(), runs(truth), objective=objective)
    for name, value in truth.items():
        assert found.params[name] == pytest.approx(value, rel=1e-6)
    assert found.objective < 1e-9
    assert found.at_bounds == ()


def test_tied_exponents_come_back_under_both_names() -> None:
    truth = TRUTH | {"alpha": 0.35, "beta": 0.35}
    found = fit(Chinchilla(tied=True), runs(truth))
    assert found.params["alpha"] == found.params["beta"] == pytest.approx(0.35, rel=1e-6)


def scipy_best(table: pd.DataFrame, delta: float, starts: list[list[float]]) -> float:
    """The least Huber sum that L-BFGS-B finds, with its gradient written out."""
    size, data, loss = (np.log(table[name]) for name in ("n_params", "n_tokens", "loss"))

    def value(p: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, e, alpha, beta = p
        terms = np.stack([a - alpha * size, b - beta * data, np.full(len(size), e)])
        whole = logsumexp(terms, axis=0)
        share = np.exp(terms - whole)
        r = loss - whole
        huber = np.where(np.abs(r) <= delta, r**2 / 2, delta * (np.abs(r) - delta / 2))
        slope = -np.clip(r, -delta, delta)
        jacobian = [share[0], share[1], share[2], -size * share[0], -data * share[1]]
        return huber.sum(), np.asarray([(slope * column).sum() for column in jacobian])

    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-12}
    found = [minimize(value, s, jac=True, method="L-BFGS-B", options=options).fun for s in starts]
    return min(found)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("delta", [1e-3, 1.0])
def test_the_objective_is_no_higher_than_scipys_best(delta: float) -> None:
    table = runs(noise=0.01, seed=3)
    near = [[np.log(482.0), np.log(2085.0), np.log(1.82), 0.35, 0.37]]
    away = [[a, b, e, x, x] for a in (5, 10) for b in (5, 10) for e in (0.0, 1.0) for x in (0.3, 1)]
    best = scipy_best(table, delta, near + away)
    found = fit(Chinchilla(), table, delta=delta)
    assert found.objective <= best * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("delta", [1e-3, np.inf])
def test_the_objective_never_rises(delta: float) -> None:
    table, law = runs(noise=0.01), Chinchilla()
    columns = problem.law_columns(law, table)
    shape = (64, len(table))
    with jax.enable_x64(True):
        starts = spread(law, 64, 0)
        reached = [
            solve(law, starts, columns, np.ones(shape), np.zeros(shape), delta, steps=steps)
            for steps in (0, 1, 2, 3, 5, 10, 30)
        ]
    objectives = np.stack([one.objective for one in reached])
    assert np.isfinite(objectives).all()
    assert (np.diff(objectives, axis=0) <= 0).all()
    assert (np.diff(objectives, axis=0) < 0).any(axis=1).all(), "each time some went on"


def test_order_and_repeats_by_weight_change_nothing() -> None:
    table = runs(noise=0.01, seed=1)
    one = fit(Chinchilla(), table)
    shuffled = fit(Chinchilla(), table.sample(frac=1, random_state=0))
    assert shuffled.params == pytest.approx(one.params, rel=1e-6)
    weighed = fit(Chinchilla(), table.assign(weight=2.0))
    assert weighed.objective == pytest.approx(2 * one.objective, rel=1e-9)
    left_out = table.assign(weight=(table.index < 40).astype(float))
    assert fit(Chinchilla(), left_out).params == pytest.approx(
        fit(Chinchilla(), table[:40]).params, rel=1e-6
    )


def test_a_filter_compiles_nothing_anew() -> None:
    table = runs(noise=0.01)
    fit(Chinchilla(), table, bootstrap=64)
    before = solve._cache_size()
    fit(Chinchilla(), table[table["n_params"] < 1e10], bootstrap=64)
    assert solve._cache_size() == before


def test_the_global_precision_is_left_alone() -> None:
    fit(Chinchilla(), runs())
    assert not jax.config.jax_enable_x64


def test_what_is_drawn_together() -> None:
    table = runs().assign(cluster=range(45))
    assert together(table, "cluster").nunique() == 45
    assert together(table, "size").nunique() == table["n_params"].nunique() == 9
    assert together(table.drop(columns="cluster"), "cluster").nunique() == 9
    with pytest.raises(ValueError, match="no n_params to draw runs by"):
        together(table[["loss"]], "size")


@pytest.mark.parametrize("resampling", ["case", "cluster", "parametric"])
def test_intervals_hold_the_truth_and_the_decision(resampling: str) -> None:
    found = fit(
        Chinchilla(), runs(noise=0.005, seed=5), bootstrap=200, resampling=resampling, seed=1
    )
    assert found.drawn is not None and len(found.drawn) == 200
    for name, value in TRUTH.items():
        assert found.intervals[name].low < found.params[name] < found.intervals[name].high
        assert found.intervals[name].low < value * 1.2 and found.intervals[name].high > value / 1.2
    best = found.allocation(5.88e23).iloc[0]
    for name in ("n_params", "n_tokens", "loss"):
        assert best[f"{name}_low"] < best[name] < best[f"{name}_high"]
    assert best["n_params_low"] < 7.3e10 < best["n_params_high"]
    told = found.predict(found.runs)
    assert (told["low"] <= told["value"] * (1 + 1e-9)).all()


def test_the_same_seed_gives_the_same_resamples() -> None:
    table = runs(noise=0.01)
    one, two, other = (
        fit(Chinchilla(), table, bootstrap=70, seed=seed).draws for seed in (1, 1, 2)
    )
    assert one is not None and two is not None and other is not None
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [45, 240])
def test_a_resample_ends_where_many_more_steps_end(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = runs(noise=0.01, rows=rows)
    few = fit(Chinchilla(), table, bootstrap=256)
    monkeypatch.setattr(problem, "AGAIN", 1500)
    many = fit(Chinchilla(), table, bootstrap=256)
    assert few.drawn is not None and many.drawn is not None
    ends = np.log(many.drawn["A"])
    apart = (np.log(few.drawn["A"]) - ends).abs()
    assert apart.quantile(0.99) < ends.std() / 50
    assert apart.max() > 0, "both took the same steps"


def test_runs_that_are_not_drawn_need_not_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    table = runs(noise=0.01)
    few = fit(Chinchilla(), table, bootstrap=64)
    monkeypatch.setattr(problem, "drawn", lambda weights: None)
    every = fit(Chinchilla(), table, bootstrap=64)
    assert few.draws is not None and every.draws is not None
    np.testing.assert_allclose(few.draws, every.draws, rtol=1e-6)


def test_the_places_of_drawn_runs() -> None:
    weights = np.asarray([[0.0, 2.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    found = problem.drawn(weights)
    assert found is not None
    np.testing.assert_array_equal(found, [[1, 3, 0], [0, 1, 2]])
    assert problem.drawn(np.ones((1, 4))) is None


def test_resampling_can_be_cancelled() -> None:
    def stop(done: int, total: int, note: str = "", preview: object = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fit(Chinchilla(), runs(noise=0.01), bootstrap=10, report=stop)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"objective": "l1"}, "objective is 'l1', not one of huber, squared, absolute"),
        ({"delta": 0.0}, "delta is 0.0, not a number above 0"),
        ({"starts": 0}, "starts is 0, not a number from 1"),
        ({"bootstrap": -1}, "bootstrap is -1, not a number from 0"),
        ({"resampling": "jackknife"}, "resampling is 'jackknife', not one of"),
    ],
)
def test_a_wrong_setting_is_named(more: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit(Chinchilla(), runs(), **more)


def test_a_summary_says_what_was_done() -> None:
    found = fit(Chinchilla(), runs(noise=0.01), bootstrap=64)
    text = found.summary()
    assert "45 runs" in text and "huber, delta 0.001" in text and "64 case resamples" in text
    assert all(name in text for name in TRUTH)


def test_residuals_are_of_the_logarithm() -> None:
    table = runs(noise=0.01)
    found = fit(Chinchilla(), table)
    expected = np.log(table["loss"]) - np.log(found.predict(table)["value"])
    pd.testing.assert_series_equal(found.residuals, expected, check_names=False)


def test_allocation_wants_compute() -> None:
    found: Fit = fit(Chinchilla(), runs())
    with pytest.raises(ValueError, match="above 0"):
        found.allocation(0.0)
    with pytest.raises(ValueError, match="n_tokens"):
        found.predict(pd.DataFrame({"n_params": [1e9]}))
