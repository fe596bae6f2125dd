"""The six metrics on traces whose answer is known in closed form."""

import pytest

from workbench.measure import efficientllm as metrics


def test_memory_utilisation_of_a_ramp_is_half():
    assert metrics.memory_utilisation([0, 4, 8], capacity=8) == 0.5
    # Held at 8 for 3 of 4 s after a ramp of 1 s: (0.5 x 1 + 1 x 3) / 4.
    assert metrics.memory_utilisation([0, 8, 8], 8, [0, 1, 4]) == pytest.approx(3.5 / 4)


def test_compute_utilisation_weighs_by_time():
    assert metrics.compute_utilisation([50, 50, 100, 100], 100, [0, 2, 2.0001, 4]) == pytest.approx(
        0.75, abs=1e-4
    )


def test_latency_adds_communication():
    assert metrics.average_latency([1.0, 3.0]) == 2.0
    assert metrics.average_latency([1.0, 3.0], [0.5, 0.5]) == 2.5


def test_throughput_kinds():
    assert metrics.throughput("IT", [100, 300], [1, 3]) == 100
    assert metrics.throughput("TT", [1e6, 1e6], [10, 10], parameters=1e5) == 1.0
    assert metrics.throughput("ST", [8, 8], [2, 2], parameters=4) == 1.0


def test_mean_power_is_energy_over_time():
    assert metrics.mean_power([100, 100, 300], [0, 1, 2]) == pytest.approx((100 + 200) / 2)


def test_compression_pays_for_lost_quality():
    assert metrics.compression(16, 4) == 4.0
    assert metrics.compression(16, 4, 0.8, 0.76) == pytest.approx(3.8)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: metrics.time_mean([]), "values is empty"),
        (lambda: metrics.time_mean([1, 2], [0]), "times has 1 entries and values 2"),
        (lambda: metrics.time_mean([1, 2], [1, 1]), "times must rise"),
        (lambda: metrics.memory_utilisation([1], 0), "capacity is 0"),
        (lambda: metrics.average_latency([]), "compute is empty"),
        (lambda: metrics.average_latency([1, 2], [1]), "communication has 1 steps"),
        (lambda: metrics.throughput("XT", [1], [1]), "kind is 'XT'"),
        (lambda: metrics.throughput("TT", [1], [1]), "give parameters"),
        (lambda: metrics.throughput("IT", [1], [1, 2]), "amounts has 1 steps"),
        (lambda: metrics.throughput("IT", [1], [0]), "the sum of seconds is 0"),
        (lambda: metrics.compression(1, 0), "size_after is 0"),
    ],
)
def test_bad_values(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
