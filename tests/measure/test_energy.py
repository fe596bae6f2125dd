"""Energy from fake sensors, and an honest None where there is none."""

import time
import types

import pytest

from workbench.measure import energy


def domain(root, folder, name, microjoules, largest=1_000_000_000):
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(name + "\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path / "energy_uj"


def test_rapl_adds_packages_and_their_memory(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 0)
    memory = domain(tmp_path, "intel-rapl:0:1", "dram", 0)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 0)
    domain(tmp_path, "intel-rapl:2", "psys", 0)
    sensor = energy.find("CPU", powercap=tmp_path)
    assert sensor.source == "RAPL package-0+dram+package-1"
    with energy.Meter(sensor) as meter:
        first.write_text("8000000")
        second.write_text("1000000")
        memory.write_text("500000")
    assert meter.energy.joules == pytest.approx(3 + 1 + 0.5)
    assert meter.energy.power == pytest.approx(4.5 / meter.energy.seconds)
    assert meter.energy.reason == ""


def test_rapl_counter_wraps(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 9_000_000, largest=10_000_000)
    sensor = energy.find_rapl(tmp_path)
    counter.write_text("2000000")
    assert sensor.read() == pytest.approx(3.0)
    counter.write_text("1000000")
    assert sensor.read() == pytest.approx(12.0)


def test_long_work_is_polled_so_that_no_wrap_is_missed(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 0, largest=10_000_000)
    sensor = energy.find_rapl(tmp_path)
    sensor.period = 0.01
    with energy.Meter(sensor) as meter:
        for value in (6_000_000, 2_000_000, 8_000_000, 4_000_000):
            # A counter of the kernel is never seen half written, so neither is this one.
            fresh = counter.with_suffix(".new")
            fresh.write_text(str(value))
            fresh.replace(counter)
            time.sleep(0.1)
    assert meter.energy.joules == pytest.approx(24.0)


def test_no_counter_is_said_and_nothing_is_made_up(tmp_path):
    with energy.Meter(energy.find("CPU", powercap=tmp_path)) as meter:
        pass
    assert meter.energy.joules is None and meter.energy.power is None
    assert "no RAPL energy counter" in meter.energy.reason
    assert meter.energy.seconds >= 0


def test_a_counter_that_may_not_be_read(tmp_path, monkeypatch):
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    real = energy._text

    def guarded(file):
        if file.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(file)

    monkeypatch.setattr(energy, "_text", guarded)
    assert "only be read by the administrator" in energy.find_rapl(tmp_path).reason


def test_a_counter_that_reads_nonsense(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", "much")
    assert "cannot be read" in energy.find_rapl(tmp_path).reason


def test_a_sensor_that_fails_midway_does_not_end_the_work(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 0)
    with energy.Meter(energy.find_rapl(tmp_path)) as meter:
        counter.unlink()
    assert meter.energy.joules is None
    assert "failed while measuring" in meter.energy.reason


def test_errors_of_the_work_pass_through(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        energy.Meter(energy.find_rapl(tmp_path)),
    ):
        raise ZeroDivisionError


def test_board_counter():
    reads = iter([5_000, 7_000, 11_500])
    nvml = types.SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda board: next(reads),
    )
    with energy.Meter(energy.Nvml(nvml, 0)) as meter:
        pass
    assert meter.energy.joules == pytest.approx(4.5)


def test_sampled_power_is_summed_by_trapezoids(monkeypatch):
    clock = iter([0.0, 1.0, 3.0])
    monkeypatch.setattr(energy.time, "perf_counter", lambda: next(clock))
    power = iter([100.0, 200.0, 100.0])
    sensor = energy.NvidiaSmi(lambda: next(power), 0)
    assert sensor.read() == pytest.approx(150.0)
    assert sensor.read() == pytest.approx(150.0 + 300.0)


def test_no_board(monkeypatch):
    monkeypatch.setattr(energy.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    missing = energy.find("GPU")
    assert missing.reason == "pynvml is not installed; nvidia-smi was not found"


def test_a_stretch_is_filled_with_whole_calls(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 0)
    sensor, calls, seen = energy.find_rapl(tmp_path), [], []
    sensor.stretch = 0.05

    def work():
        calls.append(1)
        time.sleep(0.01)
        counter.write_text(str(1_000_000 * len(calls)))

    found, count = energy.over_stretch(work, sensor, seen.append)
    assert count == len(calls) and 2 <= count <= 6
    assert found.joules == pytest.approx(count) and found.seconds >= 0.05
    assert seen == sorted(seen) and len(seen) == count


def test_work_longer_than_the_stretch_runs_once(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    sensor = energy.find_rapl(tmp_path)
    sensor.stretch = 0.01
    assert energy.over_stretch(lambda: time.sleep(0.05), sensor)[1] == 1


def test_a_stretch_without_a_sensor_still_runs_for_what_else_is_watched():
    found, count = energy.over_stretch(lambda: time.sleep(0.2), energy.Missing("none here"))
    assert count >= 2 and found.joules is None and found.reason == "none here"


def test_a_device_that_no_sensor_knows():
    assert energy.find("TPU").reason == "there is no sensor for a TPU"
