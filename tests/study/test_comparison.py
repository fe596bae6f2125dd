"""Comparison: intervals that hold what they promise, signs, the noise floor and the verdict."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.study import Comparison, Interval, TableError, Tables
from workbench.study.comparison import paired
from workbench.study.tables import ARRAYS, SERIES, Column

FLOATS = st.floats(-1e6, 1e6, allow_nan=False)


def tables(quality, times=None, column=None, again=None):
    """`quality`: method to one value per seed; `times`: method to seconds per round."""
    rows, curves = [], []
    for method, values in quality.items():
        for seed, value in enumerate(values):
            rows.append((f"{method}-{seed}", method, seed, value))
    for method, seconds in (times or {}).items():
        curves += [(f"{method}-0", "cost.latency", "round", i, s) for i, s in enumerate(seconds)]
    base = next(iter(quality))
    for i, s in enumerate(again if again is not None else (times or {}).get(base, [])):
        curves.append((f"{base}-0", "cost.latency.again", "round", i, s))
    return Tables(
        pd.DataFrame(rows, columns=["trial_id", "method", "seed", "quality.score"]),
        pd.DataFrame(curves, columns=SERIES),
        pd.DataFrame(columns=ARRAYS),
        {"quality.score": column or Column(better="higher", tolerance=0.5)},
    )


def test_paired_intervals_cover_the_truth_19_times_in_20():
    draw, runs = np.random.default_rng(0), 2000
    for count in (3, 8, 30):
        samples = draw.normal(0.7, 2.0, size=(runs, count))
        found = [paired(sample) for sample in samples]
        covered = np.mean([one.low <= 0.7 <= one.high for one in found])
        assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs), count


def test_pairing_by_seed_removes_what_seeds_share():
    draw = np.random.default_rng(0)
    seeds = draw.normal(0, 10, 12)
    values = {"a": seeds, "b": seeds + 0.3 + draw.normal(0, 0.05, 12)}
    found = Comparison(tables(values), "a").difference("b", "quality.score")
    assert found.low < 0.3 < found.high and found.high - found.low < 0.2


@settings(deadline=None)
@given(st.lists(FLOATS, min_size=3, max_size=12), FLOATS)
def test_a_shift_shifts_the_interval_and_the_mean_lies_inside(values, shift):
    here, there = paired(np.array(values)), paired(np.array(values) + shift)
    scale = 1e-9 * (1 + max(map(abs, values)) + abs(shift))
    assert here.low - scale <= here.value <= here.high + scale
    assert there.value == pytest.approx(here.value + shift, abs=scale)
    assert there.high - there.low == pytest.approx(here.high - here.low, abs=1e3 * scale)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan]])
def test_too_few_values_have_no_interval(values):
    found = paired(np.array(values))
    assert not found.known and not found.above(-99) and not found.below(99)
    assert found.count == np.isfinite(values).sum()


def judged(change, better, tolerance, spread=0.01, times=(4.0, 1.0)):
    """The verdict where b differs from a by `change`, seed by seed, with some spread."""
    draw = np.random.default_rng(0)
    base = draw.normal(5, 1, 10)
    values = {"a": base, "b": base + change + spread * (np.arange(10) - 4.5)}
    jitter = 1 + 0.01 * draw.normal(size=(3, 8))
    seconds = {"a": times[0] * jitter[0], "b": times[1] * jitter[1]}
    column = Column(better=better, tolerance=tolerance)
    found = Comparison(tables(values, seconds, column, again=times[0] * jitter[2]), "a")
    return found.verdict("b")


@pytest.mark.parametrize(
    ("change", "better", "tolerance", "word"),
    [
        (+1.0, "higher", 0.0, "worth it"),
        (-1.0, "higher", 0.0, "trade-off"),
        (+1.0, "lower", 0.0, "trade-off"),
        (-1.0, "lower", 0.0, "worth it"),
        (-1.0, "higher", 2.0, "worth it"),
        (+1.0, "lower", 2.0, "worth it"),
        (-1.0, "higher", 1.0, "not decided"),
        (+1.0, "lower", 1.0, "not decided"),
    ],
)
def test_better_says_which_way_is_a_loss(change, better, tolerance, word):
    assert judged(change, better, tolerance).word == word


@given(st.floats(-3, 3), st.floats(0, 2), st.floats(0.001, 1))
@settings(max_examples=40, deadline=None)
def test_lower_is_the_mirror_of_higher(change, tolerance, spread):
    up = judged(change, "higher", tolerance, spread)
    down = judged(-change, "lower", tolerance, -spread)
    assert up.word == down.word


def test_a_loss_that_is_not_shown_is_not_called_one():
    found = judged(0.0, "higher", 0.0, spread=0.3)
    assert (
        found.word == "not decided" and "too few seeds to tell a loss from none" in found.sentence
    )


def test_failed_seeds_are_not_left_out_silently():
    values = {"a": np.ones(8), "b": np.array([1, 1, math.nan, 1, 1, 1, math.nan, 1])}
    seconds = {"a": np.linspace(4, 4.01, 5), "b": np.linspace(1, 1.01, 5)}
    found = Comparison(tables(values, seconds), "a").verdict("b")
    assert found.word == "not decided"
    assert "score is not a number for 2 of 8 seeds" in found.sentence


@pytest.mark.parametrize("seconds", [4.0, 8.0])
def test_slower_or_equal_is_not_worth_it(seconds):
    found = judged(1.0, "higher", 0.0, times=(4.0, seconds))
    assert found.word == "not worth it"
    assert ("it is slower" if seconds > 4 else "the noise floor is") in found.sentence


def test_the_noise_floor_keeps_equal_methods_from_being_called_faster():
    """200 comparisons of a method with itself: hardly any is called worth it or slower."""
    draw, called, floors = np.random.default_rng(0), 0, []
    for _ in range(200):
        a, again, b = np.exp(0.05 * draw.normal(size=(3, 7)))
        found = Comparison(tables({"a": np.ones(4), "b": np.ones(4)}, {"a": a, "b": b},
                                  again=again), "a")  # fmt: skip
        called += found.verdict("b").word != "not worth it"
        floors.append(found.noise)
    assert called <= 4  # a 95 % interval alone would call 5
    assert 0.01 < np.median(floors) < 0.2


@given(st.floats(1.2, 20), st.floats(0, 0.02))
@settings(max_examples=40, deadline=None)
def test_speedup_is_paired_by_round_and_the_same_both_ways(factor, jitter):
    drift = np.exp(np.linspace(0, 1, 6))  # the machine slows down threefold meanwhile
    noise = np.exp(jitter * np.array([1, -1, 0.5, -0.5, 0.2, -0.2]))
    times = {"a": factor * drift * noise, "b": drift}
    found = Comparison(tables({"a": np.ones(3), "b": np.ones(3)}, times), "a").speedup("b")
    back = Comparison(tables({"b": np.ones(3), "a": np.ones(3)}, times), "b").speedup("a")
    assert found.low * (1 - 1e-9) <= factor <= found.high * (1 + 1e-9)
    assert found.value == pytest.approx(1 / back.value)
    assert found.low == pytest.approx(1 / back.high)
    assert found.high - found.low < 0.1 * factor


def test_without_times_nothing_is_known():
    found = Comparison(tables({"a": np.ones(4), "b": np.ones(4)}), "a")
    assert found.noise is None and found.speedup("b").count == 0
    assert found.verdict("b").word == "not decided"
    assert set(found.summary()["metric"]) == {"quality.score"}


def test_a_seed_that_comes_twice_is_no_extra_evidence():
    frame = pd.DataFrame({"m": ["a", "a", "b", "b"], "s": [0, 1, 0, 0], "q": [1.0, 2.0, 3.0, 4.0]})
    made = Tables.from_frame(frame, method="m", seed="s", quality={"q": Column(better="higher")})
    with pytest.raises(TableError, match="b has seed 0 more than once"):
        Comparison(made, "a").difference("b", "quality.q")


def test_unknown_names_are_refused():
    made = tables({"a": np.ones(3), "b": np.ones(3)})
    with pytest.raises(TableError, match=r"no method 'c'; there are \['a', 'b'\]"):
        Comparison(made, "c")
    with pytest.raises(TableError, match="no method 'c'"):
        Comparison(made, "a").difference("c", "quality.score")
    with pytest.raises(TableError, match=r"no column 'quality\.sorce'"):
        Comparison(made, "a").difference("b", "quality.sorce")


def test_numbers_about_all_seeds_add_their_intervals():
    trials = pd.DataFrame(
        {
            "trial_id": list("wxyz"), "method": list("aabb"), "seed": [0, 1, 0, 1],
            "quality.fid": [5.0, 5, 7, 7], "quality.fid.low": [4.0, 4, 6, 6],
            "quality.fid.high": [6.5, 6.5, 9, 9],
        }
    )  # fmt: skip
    meaning = Column(better="lower", spread=("quality.fid.low", "quality.fid.high"))
    made = Tables(
        trials, pd.DataFrame(columns=SERIES), pd.DataFrame(columns=ARRAYS), {"quality.fid": meaning}
    )
    assert Comparison(made, "a").difference("b", "quality.fid") == Interval(2.0, -0.5, 5.0, 2)
