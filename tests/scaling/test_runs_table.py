"""What is wrong with a table is said with its rows, and nothing is fitted silently."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scaling.surfaces import runs
from workbench.scaling import Chinchilla, RunsError, fit, problems


def faulty(column: str, row: int, value: object) -> pd.DataFrame:
    table = runs(noise=0.01).astype(object)
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("n_params", "70M", "row 7: n_params is '70M', not a number"),
        ("loss", -2.0, "row 7: loss is -2.0, not a finite number above 0"),
        ("n_tokens", 0, "row 7: n_tokens is 0, not a finite number above 0"),
        ("n_tokens", float("inf"), "row 7: n_tokens is inf"),
        ("loss", float("nan"), "row 7: loss is empty or NaN"),
        ("loss", None, "row 7: loss is empty or NaN"),
        ("loss", 0.012, "row 7: loss is 0.012, not a loss in nats a token, of at least 0.05"),
        ("n_params", True, "row 7: n_params is True, not a number"),
    ],
)
def test_a_faulty_value_is_named_with_its_row(column: str, value: object, words: str) -> None:
    table = faulty(column, 7, value)
    with pytest.raises(RunsError) as caught:
        fit(Chinchilla(), table)
    assert words in str(caught.value)
    assert [problem.rows for problem in caught.value.problems] == [(7,)]


@pytest.mark.slow
def test_faulty_rows_are_left_out_only_where_asked_and_said() -> None:
    table = faulty("loss", 7, "n/a")
    found = fit(Chinchilla(), table, drop=True)
    assert len(found.runs) == len(table) - 1
    assert found.dropped == ("row 7: loss is 'n/a', not a number",)
    assert "left out: row 7" in found.summary()


def test_the_same_run_twice() -> None:
    table = runs(noise=0.01)
    again = pd.concat([table, table.iloc[[3]]], ignore_index=True)
    with pytest.raises(RunsError, match="row 45: the same n_params, n_tokens, loss as a row"):
        fit(Chinchilla(), again)
    seeds = pd.concat([table.assign(seed=0), table.assign(seed=1)], ignore_index=True)
    assert problems(Chinchilla(), seeds) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (runs()[:5], "5 runs that can be used"),
        (runs().assign(n_params=1e8), "n_params is 1e\\+08 in every run"),
        (runs().drop(columns="n_tokens"), "column n_tokens: not in the table"),
        (pd.DataFrame(), "not in the table"),
    ],
)
def test_tables_that_leaving_rows_out_does_not_help(table: pd.DataFrame, words: str) -> None:
    for drop in (False, True):
        with pytest.raises(RunsError, match=words):
            fit(Chinchilla(), table, drop=drop)


def test_many_rows_are_counted_not_listed() -> None:
    table = runs(noise=0.01)
    table.loc[:19, "loss"] = np.nan
    (problem,) = [one for one in problems(Chinchilla(), table) if one.rows]
    assert len(problem.rows) == 20 and "and 12 more" in str(problem)


def test_bad_weights_are_named() -> None:
    table = runs(noise=0.01).assign(weight=1.0)
    table.loc[2, "weight"] = -1.0
    with pytest.raises(RunsError, match="row 2: weight is -1.0, not a number from 0"):
        fit(Chinchilla(), table)


VALUES = st.one_of(st.floats(), st.integers(), st.text(max_size=4), st.none(), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_value_is_a_number_above_0_or_a_named_row(data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(["n_params", "n_tokens", "loss"]))
    value = data.draw(VALUES)
    table = faulty(column, 11, value)
    try:
        good = not isinstance(value, bool) and float(value) > 0 and np.isfinite(float(value))
    except (TypeError, ValueError):
        good = False
    found = [one for one in problems(Chinchilla(), table) if 11 in one.rows]
    if not good:
        assert len(found) == 1
    elif found:
        assert column == "loss" and float(value) < 0.05
