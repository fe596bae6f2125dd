"""Domains hold the data, ticks are round, words are short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.figures import axes
from workbench.figures.chart import ChartError

MILLIONTHS = st.integers(-(10**12), 10**12).map(lambda value: value / 1e6)
VALUES = st.lists(MILLIONTHS, min_size=1, max_size=8)


@given(VALUES)
def test_domain_holds_every_value(values):
    low, high = axes.domain(values)
    room = 1e-6 * (high - low)
    assert low - room <= min(values) and max(values) <= high + room
    assert low < high


@given(st.lists(st.floats(min_value=1e-9, max_value=1e18), min_size=1, max_size=8))
def test_log_domain_holds_every_value(values):
    low, high = axes.domain(values, log=True)
    assert 0 < low < min(values) and max(values) < high


@given(VALUES)
def test_ticks_are_few_and_inside(values):
    ends = axes.domain(values)
    found = axes.ticks(ends)
    assert 2 <= len(found) <= 11
    room = 1e-6 * (ends[1] - ends[0])
    assert all(ends[0] - room <= tick <= ends[1] + room for tick in found)


def test_domain_of_shares_ends_at_one():
    assert axes.domain([0.645, 0.9, 1.0])[1] == 1.0


def test_zero_is_included_for_bars_and_when_near():
    assert axes.domain([80, 100], zero=True)[0] == 0
    assert axes.domain([0.35, 2.1])[0] == 0
    assert axes.domain([80, 100])[0] > 0


def test_log_axis_names_a_value_that_is_not_positive():
    with pytest.raises(ChartError, match=r"positive values: 0\.0"):
        axes.domain([0.0, 1.0], log=True)


def test_words_of_ticks():
    assert axes.axis("", (0, 2.4))["labels"] == ["0.0", "0.5", "1.0", "1.5", "2.0"]
    assert axes.axis("", (0, 100), unit="%")["labels"][1] == "25 %"
    assert axes.axis("", (1e13, 1e18), log=True, style="power")["labels"][0] == "10¹³"
    assert axes.axis("", (1e5, 1e7), log=True, style="count")["labels"] == ["0.1 M", "1 M", "10 M"]
    assert axes.axis("", (0, 20000))["labels"][-1] == "20\u2009000"
    assert axes.axis("", (-1, 1))["labels"][0].startswith("−")
