"""The roofline's two sides, its tables, and peaks measured here."""

import json

import pytest

from workbench.measure.cost import Cost
from workbench.measure.roofline import (
    H200,
    PEAKS,
    TPU_V5E,
    TPU_V6E,
    Peaks,
    kept,
    measured,
    roofline,
)

DEVICE = Peaks("toy", {"float32": 100.0}, 10.0, "test")


def test_memory_bound_below_the_ridge():
    line = roofline(Cost(macs=25, bytes_moved=10, latency=4.0), DEVICE)
    assert (line.bound, line.seconds) == ("memory", 1.0)
    assert (line.compute_seconds, line.memory_seconds) == (0.5, 1.0)
    assert (line.intensity, line.ridge) == (5.0, 10.0)
    assert line.efficiency == 0.25


def test_compute_bound_above_the_ridge():
    line = roofline(Cost(macs=500, bytes_moved=10), DEVICE)
    assert (line.bound, line.seconds, line.efficiency) == ("compute", 10.0, None)


def test_both_sides_are_equal_at_the_ridge():
    line = roofline(Cost(macs=50, bytes_moved=10), DEVICE)
    assert line.compute_seconds == line.memory_seconds


def test_launch_time_bounds_small_work():
    line = roofline(Cost(macs=5, bytes_moved=0), DEVICE.replace(launch=1.0))
    assert (line.bound, line.seconds, line.intensity) == ("launch", 1.1, float("inf"))


def test_known_bound_of_a_chunked_linear_attention():
    # 537 MB and 41 Gflop at 4.3 TB/s and 790 Tflop/s: 0.125 ms, memory side.
    sustained = H200.replace(flops_per_s={"bfloat16": 790e12}, bytes_per_s=4.3e12)
    line = roofline(Cost(macs=20.5e9, bytes_moved=537e6), sustained, "bfloat16")
    assert line.bound == "memory"
    assert line.seconds == pytest.approx(0.125e-3, rel=0.01)
    assert line.compute_seconds == pytest.approx(0.052e-3, rel=0.01)


def test_tpu_tables_are_what_jax_says():
    from jax.experimental.pallas import tpu as pltpu

    for ours, chip in ((TPU_V5E, "TPU_V5E"), (TPU_V6E, "TPU_V6E")):
        info = pltpu.get_tpu_info_for_chip(getattr(pltpu.ChipVersion, chip), 1)
        assert ours.flops("bfloat16") == pytest.approx(info.bf16_ops_per_second, rel=0.01)
        assert ours.flops("int8") == pytest.approx(info.int8_ops_per_second, rel=0.01)
        assert ours.bytes_per_s == pytest.approx(info.mem_bw_bytes_per_second, rel=0.01)


def test_every_table_names_its_source():
    assert all(peaks.source for peaks in PEAKS.values())


def test_no_peak_is_made_up():
    with pytest.raises(ValueError, match="TPU v5e has no peak for 'float32', only bfloat16, int8"):
        TPU_V5E.flops("float32")


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: roofline(Cost(macs=1), DEVICE), "bytes_moved of the cost is not known"),
        (lambda: roofline(Cost(bytes_moved=1), DEVICE), "macs of the cost is not known"),
        (lambda: DEVICE.replace(bytes_per_s=0), "bytes_per_s of toy is 0"),
        (lambda: DEVICE.replace(flops_per_s={"int8": -1}), r"flops_per_s\[int8\] of toy is -1"),
        (lambda: DEVICE.replace(flops_per_s={}), "flops_per_s of toy is empty"),
        (lambda: DEVICE.replace(launch=-1), "launch of toy is -1 s"),
    ],
)
def test_bad_values(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def quick(store, **options):
    return measured(gemm_size=256, copy_bytes=1 << 20, repeats=2, store=store, **options)


def test_measured_peaks_are_kept_with_their_date(tmp_path):
    store = tmp_path / "deep" / "peaks.json"
    sizes = {"gemm_size": 256, "copy_bytes": 1 << 20}
    assert kept(store=store, **sizes) is None
    first = quick(store)
    assert kept(store=store, **sizes) == first and kept(store=store) is None
    assert first.flops("float32") > 1e8 and first.bytes_per_s > 1e7
    assert first.source.startswith("measured 20")
    assert quick(store) == first, "kept, not measured again"
    assert len(json.loads(store.read_text(encoding="utf-8"))) == 1


def test_a_broken_store_costs_a_new_measurement_only(tmp_path):
    store = tmp_path / "peaks.json"
    store.write_text("{", encoding="utf-8")
    first = quick(store)
    assert quick(store) == first
    assert not list(tmp_path.glob("*.part"))


def test_a_label_says_rates_and_source():
    assert DEVICE.label("float32") == "toy: 1e-07 Gflop/s (float32), 1e-08 GB/s; test"
    assert "9.894e+05 Gflop/s (bfloat16)" in H200.label("bfloat16")
