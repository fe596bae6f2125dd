"""Costs add, scale and compare without ever hiding what is unknown."""

import math
import subprocess
import sys

import pytest

from workbench.measure.cost import FIELDS, Cost, field_of


def test_one_after_the_other_sums_time_and_takes_the_larger_memory():
    both = Cost(macs=3, latency=1.0, peak_memory=50) + Cost(macs=4, latency=2.0, peak_memory=20)
    assert (both.macs, both.latency, both.peak_memory) == (7, 3.0, 50)


def test_an_unknown_part_makes_the_whole_unknown():
    assert (Cost(macs=3) + Cost(latency=2.0)).known() == {}


def test_utilisation_and_power_are_means_over_time():
    both = Cost(latency=1.0, power=100.0) + Cost(latency=3.0, power=20.0)
    assert both.power == pytest.approx(40.0)
    assert both.energy == pytest.approx(160.0)
    assert (Cost(power=100.0) + Cost(power=20.0)).power is None


def test_sum_of_a_list():
    assert sum([Cost(macs=1), Cost(macs=2), Cost(macs=3)]).macs == 6


def test_times_leaves_memory_and_rates_alone():
    tripled = 3 * Cost(
        macs=2, latency=0.5, peak_memory=10, power=7, throughput=4, throughput_kind="IT"
    )
    assert tripled.known() == {
        "macs": 6, "latency": 1.5, "peak_memory": 10, "power": 7, "throughput": 4,
    }  # fmt: skip
    assert tripled.throughput_kind == "IT"


def test_measured_only_where_both_parts_are():
    measured, modelled = Cost(macs=1, latency=1, basis="measured"), Cost(macs=1, latency=1)
    assert (measured + measured).basis == "measured"
    assert (measured + modelled).basis == "modelled"
    assert measured.basis_of("latency") == "measured"
    assert measured.basis_of("macs") == "modelled", "a count is never a measurement"


def test_ratio_names_only_what_both_know():
    full, fewer = Cost(macs=20080, latency=2.0, cache_bytes=0), Cost(macs=14721, cache_bytes=5)
    assert fewer.ratio(full) == {"macs": pytest.approx(0.733, abs=1e-3)}


def test_columns_round_trip():
    cost = Cost(macs=1.0, latency=0.25, compression=3.5, basis="measured")
    row = {**cost.as_columns(), "cost.power": math.nan, "quality.psnr": 30.0}
    assert Cost.from_columns(row, basis="measured") == cost


def test_every_field_carries_what_a_chart_needs():
    assert len({entry.column for entry in FIELDS}) == len(FIELDS) == 17
    for entry in FIELDS:
        assert entry.column == f"cost.{entry.name}"
        assert entry.long_name and entry.help
    assert field_of("cost.latency").unit == "s"
    assert field_of("compression").better == "higher"


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: Cost(latency=-1.0), "latency is -1.0"),
        (lambda: Cost(macs=math.nan), "macs is nan"),
        (lambda: Cost(basis="guessed"), "basis is 'guessed'"),
        (lambda: Cost(throughput=1.0, throughput_kind="XX"), "throughput_kind is 'XX'"),
        (lambda: Cost(macs=1) * -2, "times is -2"),
        (lambda: field_of("flops"), "no cost field 'flops'"),
    ],
)
def test_bad_values_say_what_is_right(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_importing_the_schema_loads_no_jax():
    code = (
        "import sys, workbench.measure.cost, workbench.measure.macs, workbench.measure.timing; "
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
