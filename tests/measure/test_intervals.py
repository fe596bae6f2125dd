"""Intervals hold what they promise: coverage, known values, and what is not known stays so."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, multinomial

from workbench.measure import intervals
from workbench.measure.intervals import Interval

FLOATS = st.floats(-1e6, 1e6, allow_nan=False)


def test_means_cover_the_truth_19_times_in_20():
    draw, runs = np.random.default_rng(0), 2000
    for count in (3, 8, 30):
        found = [intervals.mean(draw.normal(0.7, 2.0, count)) for _ in range(runs)]
        covered = np.mean([one.low <= 0.7 <= one.high for one in found])
        assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs), count


@settings(deadline=None)
@given(st.lists(FLOATS, min_size=3, max_size=12), FLOATS)
def test_a_shift_shifts_the_interval_and_the_mean_lies_inside(values, shift):
    here, there = intervals.mean(values), intervals.mean(np.array(values) + shift)
    scale = 1e-9 * (1 + max(map(abs, values)) + abs(shift))
    assert here.low - scale <= here.value <= here.high + scale
    assert there.value == pytest.approx(here.value + shift, abs=scale)
    assert there.high - there.low == pytest.approx(here.high - here.low, abs=1e3 * scale)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan]])
def test_too_few_values_have_no_interval(values):
    found = intervals.mean(values)
    assert not found.known and not found.above(-99) and not found.below(99)
    assert found.count == np.isfinite(values).sum()


@given(st.lists(FLOATS, min_size=4, max_size=20))
@settings(deadline=None)
def test_the_jackknife_of_a_mean_is_students_interval(values):
    values = np.array(values)
    without = [np.delete(values, i).mean() for i in range(len(values))]
    mine, wanted = intervals.jackknife(values.mean(), without), intervals.mean(values)
    scale = 1e-7 * (1 + np.abs(values).max())
    assert (mine.low, mine.high) == pytest.approx((wanted.low, wanted.high), abs=scale)


def test_a_set_of_three_or_with_an_unknown_part_has_no_interval():
    assert not intervals.jackknife(1.0, [1.0, 2.0, 3.0]).known
    assert not intervals.jackknife(1.0, [1.0, 2.0, 3.0, math.nan]).known


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_share_lies_in_its_interval_and_is_symmetric(wins, losses, ties):
    count = wins + losses + ties
    found, mirrored = (intervals.share(n + 0.5 * ties, count) for n in (wins, losses))
    if count == 0:
        assert not found.known and found.count == 0
        return
    assert 0 <= found.low <= found.value <= found.high <= 1
    ends = (1 - found.value, 1 - found.high, 1 - found.low)
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(ends, abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 40))
def test_a_share_has_scipys_wilson_interval(wins, losses):
    wanted = binomtest(wins, wins + losses).proportion_ci(method="wilson")
    found = intervals.share(wins, wins + losses)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def answers(both, only_first, only_second, neither):
    """Rows of answers with these counts of pairs."""
    first = [1] * (both + only_first) + [0] * (only_second + neither)
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return np.array(first, bool), np.array(second, bool)


def by_hand(a, b, c, d):
    """Newcombe's formulas from the four counts, with scipy's Wilson intervals."""
    n = a + b + c + d
    p1, p2 = (a + b) / n, (a + c) / n
    one, two = (binomtest(k, n).proportion_ci(method="wilson") for k in (a + b, a + c))
    e, f, g, h = a + b, c + d, a + c, b + d
    bent = a * d - b * c
    bent = max(bent - n / 2, 0) if bent > 0 else bent
    phi = bent / math.sqrt(e * f * g * h) if e * f * g * h else 0
    dl1, du1, dl2, du2 = p1 - one.low, one.high - p1, p2 - two.low, two.high - p2
    low = p1 - p2 - math.sqrt(dl1**2 - 2 * phi * dl1 * du2 + du2**2)
    return low, p1 - p2 + math.sqrt(du1**2 - 2 * phi * du1 * dl2 + dl2**2)


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 25)] * 4))
def test_a_paired_difference_of_shares_is_newcombes(counts):
    if not sum(counts):
        return
    _, b, c, _ = counts
    first, second = answers(*counts)
    found, back = (intervals.share_difference(*pair) for pair in ((first, second), (second, first)))
    assert found.value == pytest.approx((b - c) / sum(counts))
    assert (found.low, found.high) == pytest.approx(by_hand(*counts), abs=1e-7)
    assert (back.value, back.low, back.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_where_all_agree_the_difference_is_as_uncertain_as_the_shares():
    """Of 32 pairs without one that differs, up to 10.9 % may differ (exact, one side)."""
    found = intervals.share_difference(*answers(32, 0, 0, 0))
    exact = 1 - 0.025 ** (1 / 32)
    assert found.value == 0 and found.low == -found.high
    assert found.high == pytest.approx(exact, abs=0.003)
    assert intervals.share_difference(*answers(400, 0, 0, 0)).high < 0.01


@pytest.mark.parametrize("chances", [(0.9, 0.05, 0.02, 0.03), (0.6, 0.2, 0.1, 0.1),
                                     (0.96, 0.02, 0.01, 0.01), (0.3, 0.2, 0.2, 0.3)])  # fmt: skip
def test_paired_differences_of_shares_cover_the_truth(chances):
    """The exact chance that the interval holds the true difference, summed over all outcomes."""
    n, truth, covered = 24, chances[1] - chances[2], 0.0
    for a, b, c in product(range(n + 1), repeat=3):
        if a + b + c > n:
            continue
        counts = (a, b, c, n - a - b - c)
        chance = multinomial.pmf(counts, n, chances)
        if chance > 1e-7:
            found = intervals.share_difference(*answers(*counts))
            covered += chance * (found.low <= truth <= found.high)
    assert 0.935 < covered <= 1
    assert binom.pmf(n, n, chances[0]) < 0.5, "not only the outcome in which all agree"


def test_another_unit():
    assert Interval(1.0, 0.5, 2.0, 3).times(100) == Interval(100.0, 50.0, 200.0, 3)
