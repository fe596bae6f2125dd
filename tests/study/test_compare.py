"""`compare` on a subject small enough to check by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from workbench.measure import timing
from workbench.measure.cost import Cost
from workbench.study import (
    Cancelled,
    Knobs,
    Method,
    MethodError,
    Probe,
    Problem,
    Study,
    Tables,
    compare,
    knob,
)


@dataclass(frozen=True)
class Signal:
    """A subject: the length of a signal to smooth."""

    length: int = 64
    name: str = "signal"

    @property
    def fingerprint(self) -> str:
        return f"signal-{self.length}"


class Exact(Method):
    name = "Exact"
    version = "1"
    slot = 0

    def predict(self, subject):
        return Cost(macs=float(subject.length), basis="modelled")

    def apply(self, artifact, inputs):
        return {"value": inputs}


class Rounded(Method):
    name = "Rounded"
    version = "1"

    class Knobs(Knobs):
        digits: int = knob(1, ge=0, le=6)

    def __init__(self, *args, **values):
        super().__init__(*args, **values)
        self.runs = 0

    def check(self, subject):
        if self.knobs.digits == 6:
            return [Problem("error", "digits", "Six digits is no rounding")]
        return []

    def predict(self, subject):
        return Cost(macs=subject.length / 2, basis="modelled")

    def apply(self, artifact, inputs):
        self.runs += 1
        return {"value": np.round(inputs, self.knobs.digits)}


@pytest.fixture
def clock(monkeypatch):
    """Rounded runs four times as fast as anything else; rounds jitter by 2 %."""

    def interleaved(thunks, *, repeats, report):
        draw = np.random.default_rng(0)
        found = {}
        for name, thunk in thunks.items():
            thunk()
            seconds = 0.001 if name.startswith("Rounded") else 0.004
            samples = tuple(seconds * (1 + 0.02 * draw.normal(size=repeats)))
            found[name] = timing.Timing(name, samples, samples, first_call=1.0)
        return found

    monkeypatch.setattr(timing, "interleaved", interleaved)


def inputs(seeds):
    return np.stack([np.random.default_rng(seed).normal(size=64) for seed in seeds])


def error(outcome):
    return np.abs(outcome.outputs["value"] - outcome.reference["value"]).max(axis=1)


PROBES = (
    Probe("error", error, better="lower", tolerance=0.06),
    Probe("curve", lambda o: o.outputs["value"][:, :5], level="series", axis="sample"),
    Probe("spread", lambda o: o.outputs["value"].std(), level="population", better=""),
)


def study(seeds=range(8), **more):
    return Study("rounding", Signal(), inputs, tuple(seeds), PROBES, batch=3, **more)


class Memory(dict):
    def recall(self, key):
        return self.get(key)

    def remember(self, key, arrays, record):
        self[key] = (arrays, record)


@pytest.mark.slow
def test_tables_hold_every_trial_curve_and_meaning():
    found = compare([Exact(), Rounded()], study(), repeats=3)
    trials = found.tables.trials
    assert list(trials.columns[:3]) == ["trial_id", "method", "seed"]
    assert len(trials) == 16 and trials["trial_id"].is_unique
    assert found.tables.columns["quality.error"].basis == "measured"
    assert found.tables.columns["cost.macs"].basis == "modelled"
    assert found.tables.columns["cost.latency"].basis == "measured"
    assert trials.loc[trials.method == "Rounded", "knob.digits"].eq(1).all()
    curve = found.tables.curve("Rounded", "curve")
    assert len(curve) == 8 * 5
    by_hand = np.round(inputs((2,)), 1)[0, :5]
    np.testing.assert_array_equal(curve[curve.seed == 2].sort_values("x")["y"], by_hand)


def test_faster_and_as_good_is_worth_it_and_a_loss_is_a_trade_off(clock):
    found = compare([Exact(), Rounded(digits=1), Rounded(digits=0)], study(), repeats=5)
    assert found.noise is not None and 0 < found.noise < 0.1
    fine, coarse = found.others
    assert "digits 0" in coarse
    assert found.verdict(fine).word == "worth it"
    assert found.verdict(coarse).word == "trade-off"
    assert "error changes by +0.4" in found.verdict(coarse).sentence
    gain = found.speedup(fine)
    assert gain.low < 4 < gain.high


def test_the_same_speed_is_not_worth_it(clock):
    class Twin(Exact):
        name = "Twin"
        slot = None

    found = compare([Exact(), Twin()], study(), repeats=5)
    assert found.verdict("Twin").word == "not worth it"


def test_without_timing_nothing_is_decided():
    found = compare([Exact(), Rounded()], study(), repeats=0)
    assert found.verdict("Rounded").word == "not decided"


def test_finished_outputs_are_recalled_and_new_seeds_run():
    memory, method = Memory(), Rounded()
    compare([Exact(), method], study(range(6)), repeats=0, memory=memory)
    assert method.runs == 2
    again = Rounded()
    compare([Exact(), again], study(range(6)), repeats=0, memory=memory)
    assert again.runs == 0
    other = Rounded(digits=2)
    compare([Exact(), other], study(range(6)), repeats=0, memory=memory)
    assert other.runs == 2


def test_nothing_runs_when_a_check_finds_an_error():
    method = Rounded(digits=6)
    with pytest.raises(MethodError, match="Six digits"):
        compare([Exact(), method], study())
    assert method.runs == 0


def test_cancel_stops_between_groups():
    calls = []

    def report(done, total, note="", preview=None):
        calls.append(note)
        if len(calls) > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        compare([Exact(), Rounded()], study(), report=report)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"seeds": ()}, "seeds is empty"), ({"seeds": (1, 1)}, "repeats a seed")],
)
def test_a_study_without_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        study(**change)


def test_tables_survive_a_round_trip(tmp_path):
    found = compare([Exact(), Rounded()], study(), repeats=3).tables
    back = Tables.load(found.save(tmp_path / "tables"))
    assert back.columns == found.columns
    assert back.methods == found.methods
    np.testing.assert_allclose(back.trials["quality.error"], found.trials["quality.error"])
    np.testing.assert_allclose(back.series["y"], found.series["y"])


def test_composition_runs_one_after_the_other():
    both = Rounded(digits=2).then(Exact())
    assert both.name == "Rounded, then Exact"
    assert both.settings == {"Rounded.digits": 2}
    assert both.predict(Signal()).macs == 64
    assert both != Rounded(digits=3).then(Exact())
    assert both.code() == "Rounded(digits=2).then(Exact())"
