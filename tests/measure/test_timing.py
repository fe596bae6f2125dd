"""Interleaved timing: order, apartness of the first call, cancelling, and the noise floor."""

import json
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench.measure import timing


def sleeper(seconds):
    return lambda: time.sleep(seconds)


def fixed(*samples, name="a"):
    return timing.Timing(name=name, samples=samples, cpu_samples=samples, first_call=1.0)


def test_tells_a_slow_candidate_from_a_fast_one():
    timed = timing.interleaved({"fast": sleeper(0.001), "slow": sleeper(0.02)}, repeats=3)
    assert timed["slow"].low > timed["fast"].median
    assert timed["slow"].low >= 0.02
    assert timed["slow"].cpu_median < 0.02, "sleeping takes no processor time"


def test_first_call_is_apart():
    calls = []

    def thunk():
        time.sleep(0.05 if not calls else 0)
        calls.append(1)

    found = timing.interleaved({"f": thunk}, repeats=3, warmup=1)["f"]
    assert len(calls) == 1 + 1 + 3
    assert found.first_call >= 0.05
    assert found.compile >= 0.04
    assert found.high < 0.05


def test_waits_for_jax():
    x = jnp.ones((400, 400))
    f = jax.jit(lambda a: jax.lax.fori_loop(0, 40, lambda _, b: jnp.tanh(b @ a), a))
    found = timing.interleaved({"f": lambda: f(x)}, repeats=2)["f"]
    assert found.low > 40 * 400**3 / 1e12, "faster than a tera-MAC a second: nothing was waited for"
    assert found.conditions["device"].startswith("CPU")


def test_rounds_rotate_and_mirror():
    names = ["a", "b", "c"]
    orders = ["".join(timing.round_order(names, turn)) for turn in range(6)]
    assert orders == ["abc", "cba", "bca", "acb", "cab", "bac"]


def test_min_time_repeats_calls_within_a_sample():
    found = timing.interleaved({"f": sleeper(0.001)}, repeats=2, min_time=0.01)["f"]
    assert 2 <= found.calls_per_sample <= 10
    assert found.median == pytest.approx(0.001, rel=1.0)


def test_progress_and_cancel():
    seen = []

    def report(done, total, note="", preview=None):
        seen.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        timing.interleaved({"f": sleeper(0), "g": sleeper(0)}, repeats=5, report=report)
    assert seen == [(0, 14), (1, 14), (2, 14), (3, 14)]


def test_quantities_of_fixed_samples():
    found = fixed(4.0, 1.0, 2.0, 3.0, 5.0)
    assert (found.median, found.low, found.high, found.quartiles) == (3.0, 1.0, 5.0, (2.0, 4.0))
    assert found.compile == 0.0
    cost = found.as_cost(macs=7.0)
    assert (cost.latency, cost.latency_low, cost.latency_high) == (3.0, 1.0, 5.0)
    assert cost.basis == "measured" and cost.macs == 7.0


def test_json_holds_the_raw_repeats():
    text = json.dumps(fixed(1.0, 2.0).as_json())
    assert json.loads(text)["samples"] == [1.0, 2.0]
    assert json.loads(text)["median"] == 1.5


def test_noise_of_equal_samples_is_nothing():
    assert timing.relative_noise((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)) == 0.0


def test_noise_is_at_least_a_constant_difference():
    first, slower = (1.0, 2.0, 3.0), (1.1, 2.2, 3.3)
    assert timing.relative_noise(first, slower) == pytest.approx(0.1)
    assert timing.relative_noise(slower, first) == pytest.approx(0.1)


def test_noise_needs_paired_rounds_and_three_of_them():
    with pytest.raises(ValueError, match="time both in one call"):
        timing.relative_noise((1.0, 2.0), (1.0, 2.0, 3.0))
    assert math.isnan(timing.relative_noise((1.0, 2.0), (1.0, 2.0)))


def test_the_noise_of_equal_work_is_rarely_exceeded_by_more_of_the_same():
    draw, above = np.random.default_rng(0), 0
    for _ in range(500):
        first, again, other = np.exp(0.05 * draw.normal(size=(3, 9)))
        floor = timing.relative_noise(first, again)
        above += abs(np.log(other / first).mean()) > math.log1p(floor)
    assert above <= 0.08 * 500


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"thunks": {}}, "thunks is empty"),
        ({"repeats": 1}, "repeats is 1"),
        ({"warmup": -1}, "warmup is -1"),
        ({"min_time": -1.0}, "min_time is -1.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        timing.interleaved(**{"thunks": {"f": sleeper(0)}, **arguments})
