"""Costs against the device: peaks, rooflines, power, memory in use, compression; or nothing."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.study.test_compare import Exact, Memory, Rounded, Signal, clock, study  # noqa: F401
from workbench.measure import energy, roofline
from workbench.measure.cost import Cost
from workbench.measure.memory import PeakMemory
from workbench.measure.roofline import Peaks
from workbench.study import Comparison, Tables, compare
from workbench.study.costing import Ready
from workbench.study.utilisation import with_compression, with_peaks, with_stretches

TOY = Peaks("toy", {"float32": 1e6}, 1e4, "a test")


class Counted(Rounded):
    """Rounded, with the bytes it moves."""

    def predict(self, subject):
        return Cost(macs=subject.length / 2, bytes_moved=8.0, basis="modelled")


def silent(done, total, note="", preview=None):
    pass


@pytest.fixture
def no_sensor(monkeypatch):
    monkeypatch.setattr(energy, "find", lambda kind: energy.Missing("there is none in this test"))


def test_every_known_cost_is_a_column_and_no_other(clock, no_sensor):  # noqa: F811
    found = compare([Exact(), Counted()], study(), repeats=5, peaks=TOY)
    exact, counted = (found.tables.rows(m).iloc[0] for m in found.tables.methods)
    rounds = found.tables.curve("Rounded", "cost.latency")["y"]
    assert counted["cost.throughput"] == pytest.approx(len(rounds) / rounds.sum())
    assert counted["cost.compile"] == pytest.approx(1.0, rel=0.01)  # the first call took 1 s
    for row, macs in ((exact, 64), (counted, 32)):
        pcu = 2 * macs * row["cost.throughput"] / 1e6
        assert row["cost.compute_utilisation"] == pytest.approx(pcu)
    # 64 flop at 1 Mflop/s are shorter than 8 B at 10 kB/s.
    assert counted["cost.attainable"] == pytest.approx(8e-4)
    assert counted["cost.efficiency"] == pytest.approx(8e-4 / counted["cost.latency"])
    assert np.isnan(exact["cost.attainable"]) and np.isnan(exact["cost.efficiency"])
    assert set(found.tables.trials["peaks"]) == {TOY.label("float32")}
    assert set(found.tables.trials["sensor"]) == {"none: there is none in this test"}
    columns = found.tables.columns
    assert columns["cost.attainable"].basis == "modelled"
    for name in ("throughput", "compile", "compute_utilisation", "efficiency"):
        assert columns[f"cost.{name}"].basis == "measured", name
    assert not {"cost.power", "cost.memory_utilisation", "cost.compression"} & set(columns)


def test_saved_tables_take_other_peaks(clock, tmp_path):  # noqa: F811
    found = compare([Exact(), Counted()], study(), repeats=3, peaks=TOY).tables
    back = Tables.load(found.save(tmp_path / "tables"))
    twice = with_peaks(back, TOY.replace(name="faster", flops_per_s={"float32": 2e6}))
    ratio = twice.trials["cost.compute_utilisation"] / found.trials["cost.compute_utilisation"]
    np.testing.assert_allclose(ratio, 0.5)
    assert twice.trials["peaks"].str.startswith("faster").all()


def test_peaks_without_the_float_type_are_refused_before_anything_runs():
    method = Rounded()
    with pytest.raises(ValueError, match="TPU v5e has no peak for 'float32'"):
        compare([Exact(), method], study(), repeats=3, peaks=roofline.TPU_V5E)
    assert method.runs == 0


@dataclass
class Asked:
    """Stands for the kept peaks and their measurement."""

    kept: Peaks | None
    times: int = 0

    def measured(self, dtype, report):
        self.times += 1
        report(0, 1, "timing product, round 1 of 5")
        self.kept = TOY
        return TOY


def test_peaks_are_measured_once_after_the_times_are_shown(clock, monkeypatch):  # noqa: F811
    from workbench.study.compare import progressive

    asked, notes = Asked(None), []
    monkeypatch.setattr(roofline, "kept", lambda dtype: asked.kept)
    monkeypatch.setattr(roofline, "measured", asked.measured)

    def report(done, total, note="", preview=None):
        notes.append((done / total, note))

    *_, timed, last = progressive([Exact(), Rounded()], study(), repeats=3, report=report)
    assert "cost.latency" in timed.tables.columns
    assert "cost.compute_utilisation" not in timed.tables.columns
    assert "cost.compute_utilisation" in last.tables.columns
    assert notes[-1][1] == "measuring the peak rates of this device, once"
    assert [share for share, _ in notes] == sorted(share for share, _ in notes)
    again = compare([Exact(), Rounded()], study(), repeats=3)
    assert asked.times == 1 and "cost.compute_utilisation" in again.tables.columns


def test_without_counted_arithmetic_no_peak_is_measured(clock, monkeypatch):  # noqa: F811
    asked = Asked(None)
    monkeypatch.setattr(roofline, "kept", lambda dtype: asked.kept)
    monkeypatch.setattr(roofline, "measured", asked.measured)

    class Uncounted(Exact):
        name = "Uncounted"

        def predict(self, subject):
            return Cost(basis="modelled")

    found = compare([Uncounted()], study(), repeats=3)
    assert asked.times == 0 and "cost.compute_utilisation" not in found.tables.columns


class Sensor:
    """One joule a reading; a stretch ends after one call."""

    source, period, stretch = "a counter of readings", 60.0, 0.0

    def __init__(self):
        self.joules = 0.0

    def read(self):
        self.joules += 1
        return self.joules


def test_power_is_read_over_a_stretch_of_each_method(clock, monkeypatch):  # noqa: F811
    monkeypatch.setattr(energy, "find", lambda kind: Sensor())
    methods = [Exact(), Rounded()]
    found = compare(methods, study(), repeats=3, peaks=TOY).tables
    rows = [found.rows(method).iloc[0] for method in found.methods]
    assert all(row["cost.power"] > 0 for row in rows)
    assert rows[0]["cost.power"] != rows[1]["cost.power"]
    assert set(found.trials["sensor"]) == {Sensor.source}
    assert found.columns["cost.power"].unit == "W"
    cost = Cost.from_columns(rows[0].to_dict(), basis="measured")
    assert cost.energy == pytest.approx(cost.power * cost.latency)


def test_a_sensor_that_fails_leaves_its_reason(clock):  # noqa: F811
    class Failing(Sensor):
        def read(self):
            raise OSError("it was taken away")

    methods = [Exact(), Rounded()]
    tables = compare(methods, study(), repeats=3, peaks=TOY).tables
    ready = Ready(methods, study(), {m.name: Signal() for m in methods})
    found = with_stretches(tables, ready, Failing(), silent)
    assert "cost.power" not in found.columns
    assert found.trials["sensor"].str.startswith("none: a counter of readings failed").all()


def test_memory_asked_for_is_a_peak_and_on_cpu_a_share(clock):  # noqa: F811
    def peak(method):
        if method.name == "Exact":
            return PeakMemory(3_000_000, 0, 1.0, "test", mean_above_imports=1_000_000)
        return None

    found = compare([Exact(), Rounded()], study(peak=peak), repeats=3, peaks=TOY).tables
    exact, rounded = (found.rows(method).iloc[0] for method in found.methods)
    assert exact["cost.peak_memory"] == 3e6 and np.isnan(rounded["cost.peak_memory"])
    assert 0 < exact["cost.memory_utilisation"] < 1e-2
    assert np.isnan(rounded["cost.memory_utilisation"])


def test_a_modelled_peak_is_not_called_measured(clock):  # noqa: F811
    class Foreseen(Rounded):
        def predict(self, subject):
            return super().predict(subject).replace(peak_memory=5e6)

    def peak(method):
        return None if method.name == Foreseen.name else PeakMemory(3_000_000, 0, 1.0, "test")

    methods = [Exact(), Foreseen()]
    without = compare(methods, study(), repeats=3, peaks=TOY).tables
    assert without.columns["cost.peak_memory"].basis == "modelled"
    found = compare(methods, study(peak=peak), repeats=3, peaks=TOY).tables
    assert found.columns["cost.peak_memory"].basis == "measured"
    assert np.isnan(found.rows(Foreseen.name)["cost.peak_memory"]).all()


def sized(qualities, better="higher", sizes=(100.0, 25.0)):
    """Tables of two models of these sizes."""
    found = compare([Exact(), Rounded()], study(), repeats=0).tables
    trials = found.trials.drop(columns="quality.error")
    for method, quality, size in zip(found.methods, qualities, sizes, strict=True):
        trials.loc[trials["method"] == method, "quality.score"] = quality
        trials.loc[trials["method"] == method, "cost.model_bytes"] = size
    error = found.columns["quality.error"]
    columns = {"quality.score": replace(error, better=better), "cost.model_bytes": error}
    return Tables(trials, found.series, found.arrays, columns)


@pytest.mark.parametrize(
    ("qualities", "better", "rate"),
    [((80.0, 60.0), "higher", 4 * 60 / 80), ((2.0, 2.5), "lower", 4 * 2 / 2.5)],
)
def test_compression_is_the_smaller_size_at_what_quality_is_left(qualities, better, rate):
    found = with_compression(sized(qualities, better), "Exact")
    values = found.trials.groupby("method")["cost.compression"].mean()
    assert values["Exact"] == 1 and values["Rounded"] == pytest.approx(rate)


@pytest.mark.parametrize("qualities", [(0.0, 0.5), (np.nan, 0.5)])
def test_compression_needs_a_quality_above_nothing(qualities):
    assert "cost.compression" not in with_compression(sized(qualities), "Exact").columns


def test_a_model_of_unknown_size_has_no_compression():
    found = with_compression(sized((0.5, 0.5), sizes=(100.0, np.nan)), "Exact")
    values = found.trials.groupby("method")["cost.compression"].mean()
    assert values["Exact"] == 1 and np.isnan(values["Rounded"])


def test_compile_time_hides_in_the_call_that_made_the_outputs(monkeypatch):
    """A method compiles when its outputs are made, so the timed calls start warm."""
    import time

    class Compiling(Exact):
        name = "Compiling"

        def __init__(self):
            super().__init__()
            self.cold = True

        def apply(self, artifact, inputs):
            time.sleep(0.3 if self.cold else 0.0)
            self.cold = False
            return {"value": inputs}

    memory = Memory()
    first = compare([Compiling()], study(), repeats=3, memory=memory, peaks=TOY)
    assert 0.25 < first.tables.trials["cost.compile"].iloc[0] < 2
    # Recalled outputs: then it is the first timed call that compiles.
    again = compare([Compiling()], study(), repeats=3, memory=memory, peaks=TOY)
    assert 0.25 < again.tables.trials["cost.compile"].iloc[0] < 2
    assert isinstance(again, Comparison)
