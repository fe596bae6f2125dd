"""Domains hold the data, ticks are round, words are short."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.figures import axes
from workbench.figures.axes import Axis
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


def ticks(low, high, **more):
    return Axis("value", domain=(low, high), **more).ticks()["labels"]


def test_words_of_ticks():
    assert ticks(0, 2.4) == ["0.0", "0.5", "1.0", "1.5", "2.0"]
    assert ticks(0, 100, unit="%")[1] == "25 %"
    assert ticks(1e13, 1e18, scale="log", words="power")[0] == "10¹³"
    assert ticks(1e5, 1e7, scale="log", words="count") == ["0.1 M", "1 M", "10 M"]
    assert ticks(0, 20000)[-1] == "20\u2009000"
    assert ticks(-1, 1)[0].startswith("−")


def test_axis_takes_a_column_a_record_or_itself():
    axis = Axis("ssim", "SSIM", domain=(0.9, 1.0), scale="nines")
    assert Axis.of("ssim") == Axis("ssim")
    assert Axis.of(axis) is axis
    assert Axis.of({**axis.record(), "domain": [0.9, 1.0]}) == axis
    assert Axis.of("ssim").fitted([0.2, 0.4]).name == "ssim"


def test_axis_refuses_what_cannot_be_drawn():
    with pytest.raises(ChartError, match="from low to high"):
        Axis("a", domain=(2, 1))
    with pytest.raises(ChartError, match="'cubic'"):
        Axis("a", scale="cubic")


def test_tight_axis_runs_from_edge_to_edge():
    assert Axis("a").fitted([3, 17, None], tight=True).ends == (3, 17)
    low, high = Axis("a").fitted([4.0], tight=True).ends
    assert low < 4 < high


SHARES = st.lists(
    st.integers(0, 10**7).map(lambda value: 1 - value / 1e7), min_size=2, max_size=8, unique=True
)


@given(SHARES)
def test_nines_keep_the_order_and_stay_inside(values):
    axis = Axis("ssim", scale="nines").fitted(values)
    down = axis.pixels(200, flip=True)
    places = [down(axis.plotted(value)) for value in sorted(values)]
    assert places == sorted(places, reverse=True)
    assert all(-1e-9 <= place <= 200 + 1e-9 for place in places)
    assert down(axis.plotted(1.0)) == 0
    labels = axis.ticks()["labels"]
    assert labels[0] == "1" and 2 <= len(labels) <= 8 and len(set(labels)) == len(labels)


def test_nines_are_equally_far_apart_beyond_the_finest():
    axis = Axis("ssim", scale="nines", finest=1e-6).fitted([0.95])
    assert axis.ticks()["labels"][-2:] == ["0.99", "0.9"]
    nines = [axis.plotted(value) for value in (0.9, 0.99, 0.999, 0.9999)]
    steps = [two - one for one, two in pairwise(nines)]
    assert all(step == pytest.approx(1, abs=0.01) for step in steps)
    assert axis.plotted(None) is None and axis.plotted(1.2) == 0
