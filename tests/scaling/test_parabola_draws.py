"""Approach 2 on resampled runs: each draw is what `isoflop` gives on those rows."""

import numpy as np
import pandas as pd
import pytest

from workbench.scaling.bias import simulated
from workbench.scaling.parabola_draws import drawn, interval
from workbench.scaling.parabolas import isoflop
from workbench.scaling.presets import BESIROGLU

A = BESIROGLU["beta"] / (BESIROGLU["alpha"] + BESIROGLU["beta"])


@pytest.fixture(scope="module")
def runs():
    table = simulated(BESIROGLU, 6.0, 1.0, 1.0, (1e18, 1e19, 1e20), 8)
    noise = np.random.default_rng(3).standard_normal(len(table))
    return table.assign(loss=table["loss"] * np.exp(0.003 * noise))


def test_a_draw_is_approach_2_on_the_rows_drawn(runs):
    found = drawn(runs, resamples=12, seed=5)
    draw = np.random.default_rng(5)
    groups = [group for _, group in runs.groupby("budget", sort=True)]
    counts = [draw.multinomial(len(g), np.full(len(g), 1 / len(g)), 12) for g in groups]
    for k in range(12):
        rows = pd.concat(
            [g.loc[np.repeat(g.index, c[k])] for g, c in zip(groups, counts, strict=True)]
        )
        rows = rows.assign(seed=range(len(rows)))  # a run drawn twice counts twice
        try:
            lines, _ = isoflop(rows)
        except ValueError:
            assert found.loc[k].isna().all()
            continue
        assert found.loc[k, "a"] == pytest.approx(lines.size[0], rel=1e-6)
        assert found.loc[k, "b"] == pytest.approx(lines.data[0], rel=1e-6)
    assert found["a"].notna().sum() > 6


def test_the_interval_holds_the_truth_and_is_not_quoted_of_few_lines(runs):
    low, high = interval(drawn(runs)["a"])
    assert low < A < high and high - low < 0.1
    assert interval(pd.Series([0.5, np.nan, np.nan])) is None
    few = drawn(runs[runs["budget"] == 1e18])
    assert few["a"].isna().all()
