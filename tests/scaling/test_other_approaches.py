"""Approaches 1 and 2 and variable projection, on surfaces that are known."""

import numpy as np
import pandas as pd
import pytest

from tests.scaling.surfaces import TRUTH, loss, runs
from workbench.scaling import Chinchilla, RunsError, envelope, fit, isoflop, project
from workbench.scaling.bias import simulated
from workbench.scaling.curve_envelope import checked_curves
from workbench.scaling.parabolas import budgets, checked_sizes

EXPONENT = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])


def test_the_envelope_of_curves_has_the_laws_exponent() -> None:
    rows = []
    for run, size in enumerate(np.geomspace(1e6, 1e10, 25)):
        tokens = np.geomspace(2e6, 2e13, 300)
        rows.append(pd.DataFrame({"run": run, "n_params": size, "n_tokens": tokens}))
    curves = pd.concat(rows, ignore_index=True)
    curves["loss"] = loss(TRUTH, curves)
    found = envelope(curves, smoothing=0.0, resamples=50)
    assert found.drawn is not None and len(found.drawn) == 50
    assert 0 < found.drawn["a"].std() < 0.02
    assert found.drawn["a"].median() == pytest.approx(EXPONENT, abs=0.02)
    dearer = envelope(
        curves.assign(compute=12 * curves["n_params"] * curves["n_tokens"]), smoothing=0.0
    )
    assert dearer.size[0] == pytest.approx(found.size[0], abs=1e-9)
    np.testing.assert_allclose(dearer.points["n_tokens"], found.points["n_tokens"], rtol=1e-9)
    assert found.size[0] == pytest.approx(EXPONENT, abs=0.02)
    assert found.size[0] + found.data[0] == pytest.approx(1, abs=1e-9)
    assert found.points["n_params"].min() > 1e6 and found.points["n_params"].max() < 1e10
    with pytest.raises(ValueError, match="three"):
        envelope(curves[curves["run"] < 2])
    with pytest.raises(ValueError, match="run"):
        envelope(curves.drop(columns="run"))
    with pytest.raises(ValueError, match="no rows"):
        envelope(curves.iloc[:0])


FAULTS = [
    ("loss", np.nan, "row 7: loss is empty or NaN"),
    ("loss", -2.0, "row 7: loss is -2.0, not a finite number above 0"),
    ("loss", 0.01, "row 7: loss is 0.01, not a loss in nats a token"),
    ("n_tokens", "many", "row 7: n_tokens is 'many', not a number"),
    ("n_params", 0, "row 7: n_params is 0, not a finite number above 0"),
]


@pytest.mark.parametrize(
    ("column", "value", "words"), [*FAULTS, ("budget", np.nan, "row 7: budget is empty or NaN")]
)
def test_parabolas_name_a_faulty_row(column: str, value: object, words: str) -> None:
    table = simulated(TRUTH, 4.0, 1.0, 1.0)
    faulty = table.astype(object)
    faulty.loc[7, column] = value
    with pytest.raises(RunsError) as caught:
        isoflop(faulty)
    assert words in str(caught.value)
    assert [problem.rows for problem in caught.value.problems] == [(7,)]
    kept, faults = checked_sizes(faulty, drop=True)
    assert [str(fault) for fault in faults] == [str(caught.value)]
    assert isoflop(kept)[0].size == isoflop(table.drop(index=7))[0].size


def test_parabolas_count_a_run_once() -> None:
    table = simulated(TRUTH, 4.0, 1.0, 1.0)
    again = pd.concat([table, table.iloc[[3]]], ignore_index=True)
    with pytest.raises(RunsError, match="row 75: the same n_params, n_tokens, loss as a row"):
        isoflop(again)
    seeds = pd.concat([table.assign(seed=0), table.assign(seed=1)], ignore_index=True)
    assert isoflop(seeds)[0].size == pytest.approx(isoflop(table)[0].size, rel=1e-9)
    with pytest.raises(RunsError, match="n_tokens: not in the table, which approach 2 needs"):
        isoflop(table.drop(columns="n_tokens"))


def few_curves() -> pd.DataFrame:
    """Six runs, 20 points each."""
    sizes, tokens = np.geomspace(1e7, 1e9, 6), np.geomspace(1e7, 1e12, 20)
    rows = [(str(size), size, seen) for size in sizes for seen in tokens]
    curves = pd.DataFrame(rows, columns=["run", "n_params", "n_tokens"])
    return curves.assign(loss=loss(TRUTH, curves))


@pytest.mark.parametrize(
    ("column", "value", "words"), [*FAULTS, ("run", None, "row 7: run is empty, not a name")]
)
def test_the_envelope_names_a_faulty_row(column: str, value: object, words: str) -> None:
    curves = few_curves()
    faulty = curves.astype(object)
    faulty.loc[7, column] = value
    with pytest.raises(RunsError) as caught:
        envelope(faulty)
    assert str(caught.value).startswith(words)
    kept, _ = checked_curves(faulty, drop=True)
    assert envelope(kept).size == envelope(curves.drop(index=7)).size


def test_points_of_a_curve_are_no_repeats_but_the_same_point_is() -> None:
    curves = few_curves()
    assert checked_curves(curves)[1] == []
    again = pd.concat([curves, curves.iloc[[3]]], ignore_index=True)
    with pytest.raises(RunsError, match="row 120: the same run, n_params, n_tokens, loss as a"):
        envelope(again)


@pytest.mark.parametrize("vertex", ["parabola", "akima"])
def test_vertices_lie_on_a_line(vertex: str) -> None:
    table = simulated(TRUTH, 4.0, 1.0, 1.0)
    lines, rows = isoflop(table, vertex=vertex)
    assert (rows["why"] == "").all() and len(rows) == 5
    assert lines.size[0] == pytest.approx(EXPONENT, abs=5e-3)


def test_budgets_are_found_where_they_are_not_given() -> None:
    table = simulated(TRUTH, 4.0, 1.0, 1.0).drop(columns="budget")
    table["n_tokens"] *= np.exp(np.random.default_rng(0).uniform(-0.02, 0.02, len(table)))
    assert [len(group) for _, group in budgets(table)] == [15] * 5


def test_a_budget_without_a_vertex_says_why() -> None:
    table = simulated(TRUTH, 4.0, 1.0, 1.0)
    first, second = sorted(table["budget"].unique())[:2]
    one_side = (table["budget"] != first) | (table["n_params"] > table["n_params"].median())
    short = (table["budget"] != second) | (table.index % 6 == 0)
    _, rows = isoflop(table[one_side & short])
    reasons = dict(zip(rows["compute"], rows["why"], strict=True))
    assert "sizes" in reasons[second]
    with pytest.raises(ValueError, match="line needs two"):
        isoflop(table[table["budget"] == first])
    with pytest.raises(ValueError, match="vertex is 'spline'"):
        isoflop(table, vertex="spline")


def test_noise_weighs_the_vertices() -> None:
    table = simulated(TRUTH, 8.0, 1.0, 1.0)
    lines, _ = isoflop(table, noise=0.005, resamples=20)
    assert lines.size[0] == pytest.approx(EXPONENT, abs=0.02)


@pytest.mark.slow
def test_projection_gives_the_parameters_back() -> None:
    found, condition = project(runs())
    assert condition < 1e3
    for name, value in TRUTH.items():
        assert found.params[name] == pytest.approx(value, rel=1e-4)
    noisy = runs(noise=0.002, seed=4)
    near, _ = project(noisy, delta=1e-2)
    assert near.params["alpha"] == pytest.approx(
        fit(Chinchilla(), noisy, objective="squared").params["alpha"], abs=0.03
    )
