"""Comparison: intervals that hold what they promise, signs, the noise floor and the verdict."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from workbench.measure import intervals
from workbench.study import Comparison, Interval, TableError, Tables
from workbench.study.tables import ARRAYS, SERIES, Column


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


def test_pairing_by_seed_removes_what_seeds_share():
    draw = np.random.default_rng(0)
    seeds = draw.normal(0, 10, 12)
    values = {"a": seeds, "b": seeds + 0.3 + draw.normal(0, 0.05, 12)}
    found = Comparison(tables(values), "a").difference("b", "quality.score")
    assert found.low < 0.3 < found.high and found.high - found.low < 0.2


def test_what_compares_with_the_baseline_already_stands_for_itself():
    values = {"a": np.full(10, 99.0), "b": np.linspace(25, 27, 10)}
    seconds = {"a": np.linspace(4, 4.1, 8), "b": np.linspace(1, 1.1, 8)}
    about = Column("dB", better="higher", relative=True)
    found = Comparison(tables(values, seconds, about), "a")
    rows = found.summary().set_index(["method", "metric"])
    row, wanted = rows.loc["b", "quality.score"], found.value("b", "quality.score")
    assert row["value"] == row["against_baseline"] == wanted.value
    assert (row["low"], row["high"]) == (wanted.low, wanted.high)
    assert found.verdict("b").sentence.endswith("no quality that decides was measured.")
    beside = found.tables.trials.assign(**{"quality.likeness": found.tables.trials["seed"]})
    columns = found.tables.columns | {"quality.likeness": Column(better="higher", tolerance=0.5)}
    both = Comparison(replace(found.tables, trials=beside, columns=columns), "a")
    assert both.verdict("b").word == "worth it"


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


def test_a_speedup_on_both_sides_of_the_noise_floor_is_not_decided():
    draw = np.random.default_rng(0)
    a, again, b = 4 + 0.2 * draw.normal(size=(3, 7)), None, 3.8 + 0.4 * draw.normal(size=7)
    again = a * (1 + 0.02 * draw.normal(size=7))
    found = Comparison(
        tables({"a": np.ones(4), "b": np.ones(4)}, {"a": a[0], "b": b}, again=again[0]), "a"
    )
    gain, floor = found.speedup("b"), 1 + found.noise
    assert gain.low < floor < gain.high
    verdict = found.verdict("b")
    assert verdict.word == "not decided" and "more rounds or a quieter machine" in verdict.sentence


@pytest.mark.parametrize(("drop", "word"), [(0.0, "worth it"), (5.0, "trade-off")])
def test_a_shown_loss_of_another_guarded_quality_counts(drop, word):
    seconds = {"a": np.linspace(4, 4.01, 5), "b": np.linspace(1, 1.01, 5)}
    made = tables({"a": np.ones(6), "b": np.ones(6)}, seconds)
    noise = 0.1 * np.arange(6)
    made.trials["quality.agreement"] = np.concatenate([90 + noise, 90 - drop + noise[::-1]])
    guarded = Column("%", better="higher", tolerance=2.0, label="agreement")
    found = Comparison(replace(made, columns={**made.columns, "quality.agreement": guarded}), "a")
    verdict = found.verdict("b")
    assert verdict.word == word
    assert ("agreement changes by −5 %" in verdict.sentence) == (drop > 0)


def test_the_noise_floor_keeps_equal_methods_from_being_called_faster():
    """200 comparisons of a method with itself: hardly any is called worth it or slower."""
    draw, called, floors = np.random.default_rng(0), 0, []
    for _ in range(200):
        a, again, b = np.exp(0.05 * draw.normal(size=(3, 7)))
        found = Comparison(tables({"a": np.ones(4), "b": np.ones(4)}, {"a": a, "b": b},
                                  again=again), "a")  # fmt: skip
        verdict = found.verdict("b")
        called += verdict.word not in ("not worth it", "not decided")
        called += "it is slower" in verdict.sentence
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


def shares(mine, base, **more):
    """Yes and no by seed, in %."""
    column = Column("%", better="higher", tolerance=2.0, share=True, **more)
    values = {"a": 100.0 * np.array(base), "b": 100.0 * np.array(mine)}
    seconds = {"a": np.linspace(4, 4.01, 5), "b": np.linspace(1, 1.01, 5)}
    return Comparison(tables(values, seconds, column), "a")


def test_a_share_on_which_all_seeds_agree_decides_only_with_seeds_enough():
    few, many = (shares(np.ones(n), np.ones(n)) for n in (32, 400))
    found = few.difference("b", "quality.score")
    assert found.value == 0 and found.low < -10 and found.high > 10
    assert few.verdict("b").word == "not decided"
    assert many.verdict("b").word == "worth it"
    one = few.value("b", "quality.score")
    assert (one.value, one.high) == (100, 100) and 89 < one.low < 90  # Wilson, 32 of 32


def test_a_share_is_paired_by_seed_and_leaves_unknown_seeds_out():
    mine, base = np.ones(40), np.ones(40)
    base[:3], mine[:1], mine[39] = 0, 0, np.nan
    found = shares(mine, base).difference("b", "quality.score")
    wanted = intervals.share_difference(mine[:39] == 1, base[:39] == 1)
    assert found == wanted.times(100) and found.count == 39
    assert "not a number for 1 of 40 seeds" in shares(mine, base).verdict("b").sentence


def test_nothing_differs_from_itself_however_uncertain_it_is():
    found = shares(np.ones(8), np.ones(8))
    assert found.difference("a", "quality.score") == Interval(0.0, 0.0, 0.0, 8)
    assert found.value("a", "quality.score").low < 70
    row = found.summary().set_index(["method", "metric"]).loc[("a", "quality.score")]
    assert (row["value"], row["against_baseline"], row["low"], row["high"]) == (100, 0, 0, 0)


def test_a_share_is_yes_or_no():
    with pytest.raises(TableError, match=r"quality\.score is a share, so each seed has 0 or 100"):
        shares([0.5, 1, 1], [1, 1, 1]).difference("b", "quality.score")


def spread_of(features):
    """Mean distance of two rows, as a diversity is."""
    gaps = np.linalg.norm(features[:, None] - features[None], axis=-1)
    return gaps.sum() / (len(features) * (len(features) - 1))


def population(features, seeds=range(12)):
    """Tables of a number about all seeds, with its values without each."""
    frames = []
    for method, values in features.items():
        without = np.array([spread_of(np.delete(values, i, 0)) for i in range(len(values))])
        one = intervals.jackknife(spread_of(values), without)
        frames.append(pd.DataFrame({
            "trial_id": [f"{method}-{s}" for s in seeds], "method": method, "seed": list(seeds),
            "quality.d": one.value, "quality.d.low": one.low, "quality.d.high": one.high,
            "quality.d.without": without,
        }))  # fmt: skip
    meaning = Column(better="higher", spread=("quality.d.low", "quality.d.high"))
    empty = (pd.DataFrame(columns=SERIES), pd.DataFrame(columns=ARRAYS))
    return Tables(pd.concat(frames, ignore_index=True), *empty, {"quality.d": meaning})


def features(count=12):
    draw = np.random.default_rng(3)
    base = draw.normal(size=(count, 4))
    return {"a": base, "b": 1.1 * base + 0.05 * draw.normal(size=(count, 4))}


def by_hand(features):
    """The jackknife of the difference: leave seed i out of both methods at once."""
    n = len(features["a"])
    gaps = []
    for i in range(n):
        kept = [j for j in range(n) if j != i]
        gaps.append(spread_of(features["b"][kept]) - spread_of(features["a"][kept]))
    centre = sum(gaps) / n
    error = math.sqrt((n - 1) / n * sum((gap - centre) ** 2 for gap in gaps))
    value, half = spread_of(features["b"]) - spread_of(features["a"]), t.ppf(0.975, n - 1) * error
    return value, value - half, value + half


def test_numbers_about_all_seeds_differ_by_the_jackknife_of_the_difference(tmp_path):
    made = population(features())
    back = Tables.load(made.save(tmp_path / "tables"))
    for one in (made, back):
        found = Comparison(one, "a").difference("b", "quality.d")
        assert (found.value, found.low, found.high) == pytest.approx(by_hand(features()))
        assert found.count == 12
    plain = Tables(made.trials.drop(columns="quality.d.without"), made.series, made.arrays,
                   made.columns)  # fmt: skip
    added = Comparison(plain, "a").difference("b", "quality.d")
    assert added.value == found.value
    assert added.high - added.low > 5 * (found.high - found.low), "seeds are shared"


def test_numbers_about_different_seeds_are_not_paired():
    made = population(features())
    trials = made.trials.copy()
    trials.loc[trials["method"] == "b", "seed"] += 1
    moved = Tables(trials, made.series, made.arrays, made.columns)
    found = Comparison(moved, "a").difference("b", "quality.d")
    mine, base = (Comparison(moved, "a").value(m, "quality.d") for m in "ba")
    assert (found.low, found.high) == (mine.low - base.high, mine.high - base.low)


def test_paired_numbers_about_all_seeds_cover_the_true_difference():
    """Both methods see the same draws: the true change of the spread is a tenth of it."""
    truth = 0.1 * spread_of(np.random.default_rng(9).normal(size=(3000, 4)))
    covered = []
    for run in range(120):
        base = np.random.default_rng(run).normal(size=(12, 4))
        found = Comparison(population({"a": base, "b": 1.1 * base}), "a")
        found = found.difference("b", "quality.d")
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.88
