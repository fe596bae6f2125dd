"""Plans: whole batches, brackets, and the run that tells most."""

import numpy as np
import pandas as pd
import pytest

from tests.scaling.surfaces import runs
from workbench.scaling import Chinchilla, fit
from workbench.scaling.decisions import product
from workbench.scaling.linearised import linearised
from workbench.scaling.plan import bracketed, decision_variance, isoflop_plan, next_runs

SIZES = np.geomspace(3e7, 3e10, 10)


def test_tokens_are_whole_batches_and_costs_add_up() -> None:
    plan = isoflop_plan([1e19, 1e20], SIZES, batch_tokens=500_000, speed=1e14)
    assert (plan.runs["n_tokens"] == plan.runs["steps"] * 500_000).all()
    assert plan.flops == pytest.approx(plan.runs["flops"].sum())
    assert plan.runs["hours"].sum() == pytest.approx(plan.flops / 1e14 / 3600)
    assert plan.hours == pytest.approx(plan.flops / 1e14 / 3600) and np.isnan(plan.price)
    with pytest.raises(ValueError, match="updates of 1000000000 tokens"):
        isoflop_plan([1e15], SIZES, batch_tokens=10**9)


def test_a_price_is_of_every_device_for_every_hour() -> None:
    paid = isoflop_plan([1e19], SIZES, batch_tokens=10_000, speed=1e14, devices=8, price=2.5)
    assert paid.price == pytest.approx(8 * 2.5 * paid.flops / 1e14 / 3600)
    assert paid.runs["price"].sum() == paid.price
    for more, words in (
        ({"price": 2.5}, "price is 2.5, and hours need a speed"),
        ({"price": -1.0, "speed": 1e14}, "price is -1.0, not a price"),
        ({"devices": 0}, "devices is 0, not a number from 1"),
        ({"speed": 0.0}, "speed is 0.0, not FLOP/s above 0"),
    ):
        with pytest.raises(ValueError, match=words):
            isoflop_plan([1e19], SIZES, batch_tokens=10_000, **more)


def test_without_a_law_nobody_knows_what_a_plan_brackets() -> None:
    plan = isoflop_plan([1e19], SIZES, batch_tokens=10_000)
    assert plan.brackets["bracketed"].isna().all() and plan.brackets["n_params"].isna().all()
    assert len(plan.misses) == 0


@pytest.mark.slow
def test_a_grid_beside_the_optimum_is_said() -> None:
    known = fit(Chinchilla(), runs(noise=0.003), bootstrap=128)
    plan = isoflop_plan([1e19, 1e20], SIZES, batch_tokens=10_000, fit=known)
    assert plan.brackets["bracketed"].all() and len(plan.misses) == 0
    large = isoflop_plan([1e19], SIZES[-3:], batch_tokens=10_000, fit=known)
    assert len(large.misses) == 1


def test_a_plan_follows_the_count_of_flops() -> None:
    known = fit(Chinchilla(), runs(noise=0.003))

    def plain(size: float) -> float:
        return 6 * size

    def costly(size: float) -> float:
        return 6 * size + 3e9

    best = product(known.law, known.params, 1e20, costly)
    size, tokens = known.law.optimum(known.params, best)
    assert costly(float(size)) * float(tokens) == pytest.approx(1e20, rel=1e-3)
    for cost, row in ((costly, float(size)), (plain, float(known.allocation(1e20)["n_params"][0]))):
        plan = isoflop_plan([1e20], SIZES, batch_tokens=10_000, fit=known, flops=cost)
        assert plan.brackets["n_params"].iloc[0] == pytest.approx(row, rel=1e-6)
    candidates = pd.DataFrame({"n_params": np.geomspace(1e8, 1e11, 6), "n_tokens": 1e11})
    usual, same, other = (
        next_runs(known, candidates, 1e22, flops=flops).sort_index()
        for flops in (6.0, plain, costly)
    )
    assert same["per_flop"].to_numpy() == pytest.approx(usual["per_flop"].to_numpy(), rel=1e-6)
    assert other["flops"].iloc[0] == pytest.approx(costly(1e8) * 1e11)
    assert other["variance_removed"].iloc[0] != pytest.approx(usual["variance_removed"].iloc[0])


def test_brackets_of_what_was_run() -> None:
    table = runs()
    table["budget"] = np.round(6 * table["n_params"] * table["n_tokens"], -15)
    found = bracketed(table)
    assert found["bracketed"].all()
    assert not bracketed(table[table["n_params"] > 1e9])["bracketed"].all()


def test_the_next_run_removes_the_variance_it_promises() -> None:
    table = runs(noise=0.003, seed=6)
    found = fit(Chinchilla(), table, objective="squared")
    candidates = pd.DataFrame({"n_params": np.geomspace(1e8, 1e11, 6), "n_tokens": 1e11})
    ranked = next_runs(found, candidates, 1e24)
    assert ranked["per_flop"].is_monotonic_decreasing
    before = decision_variance(found, 1e24)
    best = ranked.iloc[0]
    more = candidates.loc[[ranked.index[0]]]
    added = pd.concat([table, more.assign(loss=found.predict(more)["value"])], ignore_index=True)
    again = fit(Chinchilla(), added, objective="squared")
    same_noise = (linearised(found).noise / linearised(again).noise) ** 2
    after = decision_variance(again, 1e24) * same_noise
    assert before - after == pytest.approx(best["variance_removed"], rel=0.05)
