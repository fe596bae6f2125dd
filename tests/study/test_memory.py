"""Finished work in a store: recalled, shared by processes, and not confused with other work."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.study.test_compare import Exact, Rounded, Signal, clock, inputs, study  # noqa: F401
from workbench.runs import Store
from workbench.study import Method, Probe, Study, compare


def test_a_second_comparison_runs_nothing_and_says_the_same(tmp_path):
    first = compare([Exact(), Rounded()], study(), repeats=0, memory=Store(tmp_path))
    method = Rounded()
    again = compare([Exact(), method], study(), repeats=0, memory=Store(tmp_path))
    assert method.runs == 0
    np.testing.assert_array_equal(
        first.tables.trials["quality.error"], again.tables.trials["quality.error"]
    )
    assert list(first.tables.trials["trial_id"]) == list(again.tables.trials["trial_id"])


def test_a_sibling_under_the_same_name_costs_no_second_run(tmp_path):
    compare([Exact(), Rounded(digits=2)], study(), repeats=0, memory=Store(tmp_path))
    method = Rounded(digits=2)
    compare([Exact(), method, Rounded(digits=3)], study(), repeats=0, memory=Store(tmp_path))
    assert method.runs == 0


def test_added_seeds_run_alone(tmp_path):
    compare([Exact(), Rounded()], study(range(6)), repeats=0, memory=Store(tmp_path))
    ran = []

    class Counting(Rounded):
        version = "1"

        def apply(self, artifact, inputs):
            ran.append(len(inputs))
            return super().apply(artifact, inputs)

    compare([Exact(), Counting()], study(range(8)), repeats=0, memory=Store(tmp_path))
    assert ran == [2]


def test_other_inputs_are_other_work(tmp_path):
    first = study()
    compare([Exact(), Rounded()], first, repeats=0, memory=Store(tmp_path))
    method = Rounded()
    other = replace(first, inputs=lambda seeds: 2 * inputs(seeds))
    found = compare([Exact(), method], other, repeats=0, memory=Store(tmp_path))
    assert method.runs == 3
    np.testing.assert_array_equal(found.outputs["Exact"]["value"][0], 2 * inputs((0,))[0])


def test_inputs_without_content_to_compare_need_a_name_for_the_data():
    class Opaque:
        pass

    thing = Opaque()
    made = replace(study(), inputs=lambda seeds: (thing, inputs(seeds))[1])
    with pytest.raises(TypeError, match=r"inputs of a study: .*Opaque.* `data`"):
        _ = made.fingerprint
    assert replace(made, data="v1").fingerprint != replace(made, data="v2").fingerprint


VALUES = np.ones(4)


def test_another_global_is_other_data(tmp_path, monkeypatch):
    made = replace(study(), inputs=lambda seeds: VALUES[: len(seeds)])
    before = made.fingerprint
    monkeypatch.setitem(globals(), "VALUES", np.full(4, 7.0))
    assert replace(made).fingerprint != before


SCRIPT = """
import json, sys
from tests.study.test_compare import Exact, Rounded, study
from workbench.runs import Store
from workbench.study import compare
method = Rounded()
found = compare([Exact(), method], study(range(60)), repeats=0, memory=Store(sys.argv[1]))
print(json.dumps([method.runs, found.tables.trials["quality.error"].tolist()]))
"""


def test_two_processes_on_one_store_agree(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = []
    for process in running:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        said.append(json.loads(out.splitlines()[-1]))
    assert said[0][1] == said[1][1] and len(said[0][1]) == 120
    method = Rounded()
    compare([Exact(), method], study(range(60)), repeats=0, memory=Store(tmp_path))
    assert method.runs == 0


class Trained(Method):
    """Adds the seed: what it leaves depends on it."""

    name = "Trained"
    version = "1"
    seeded = True

    def __init__(self, *args, **values):
        super().__init__(*args, **values)
        self.trained = []

    def prepare(self, subject, seed=0, report=None):
        self.trained.append(seed)
        return seed

    def apply(self, artifact, inputs):
        return {"value": inputs + artifact}


def test_each_seed_is_trained_once_and_the_first_is_timed(clock):  # noqa: F811
    method = Trained()
    found = compare([Exact(), method], study(range(4)), repeats=3)
    assert method.trained == [0, 1, 2, 3]
    gaps = found.outputs["Trained"]["value"] - found.outputs["Exact"]["value"]
    np.testing.assert_allclose(gaps[:, 0], [0, 1, 2, 3])


@pytest.mark.parametrize("repeats", [1, 2, -1])
def test_too_few_rounds_are_refused_before_anything_runs(repeats):
    method = Trained()
    with pytest.raises(ValueError, match="repeats must be 0"):
        compare([Exact(), method], study(), repeats=repeats)
    assert method.trained == []


@pytest.mark.parametrize(
    ("level", "measure", "message"),
    [
        ("trial", lambda o: 1.0, r"one number per seed, shape \(8,\). It gave shape \(\)"),
        ("trial", lambda o: np.ones(3), r"one number per seed, shape \(8,\). It gave shape \(3,\)"),
        ("series", lambda o: np.ones(8), "one row per seed"),
        ("population", lambda o: np.ones(8), "one number for all seeds"),
    ],
)
def test_a_probe_of_the_wrong_shape_is_named(level, measure, message):
    made = replace(study(), probes=(Probe("odd", measure, level=level),))
    with pytest.raises(ValueError, match=f"probe 'odd' at level '{level}' must give {message}"):
        compare([Exact()], made, repeats=0)


def population(seeds, measure):
    made = Study(
        "draws", Signal(), lambda s: np.stack([np.random.default_rng(i).normal(size=2) for i in s]),
        tuple(seeds), (Probe("p", measure, level="population"),), batch=64,
    )  # fmt: skip
    row = compare([Exact()], made, repeats=0).tables.trials.iloc[0]
    return row["quality.p"], row["quality.p.low"], row["quality.p.high"]


def gaps(outcome):
    """Mean distance of two different draws, as a diversity is."""
    values = outcome.outputs["value"]
    distances = np.linalg.norm(values[:, None] - values[None], axis=-1)
    return distances.sum() / (len(values) * (len(values) - 1))


def test_population_intervals_cover_the_truth():
    """The mean distance of two standard normal points of the plane is sqrt(pi)."""
    found = [population(range(1000 * i, 1000 * i + 12), gaps) for i in range(150)]
    covered = np.mean([low <= np.sqrt(np.pi) <= high for _, low, high in found])
    assert 0.88 < covered <= 1
    assert all(low < value < high for value, low, high in found)


def test_a_probe_sees_the_inputs_of_the_seeds_it_is_given():
    def same(outcome):
        np.testing.assert_array_equal(outcome.inputs, outcome.outputs["value"])
        return len(outcome.seeds)

    value, low, high = population(range(6), same)
    assert value == 6 and low == high == 6


def test_three_seeds_have_no_population_interval():
    value, low, high = population(range(3), gaps)
    assert np.isfinite(value) and np.isnan(low) and np.isnan(high)


@pytest.mark.parametrize("level", ["trial", "population"])
def test_a_share_that_is_no_yes_or_no_is_refused(level):
    def half(outcome):
        return 50.0 if level == "population" else np.full(len(outcome.seeds), 50.0)

    probe = Probe("right", half, "%", level=level, share=True)
    made = Study("shares", Signal(), inputs, tuple(range(4)), (probe,))
    with pytest.raises(ValueError, match="'right' is a share, so it must give each seed 0 or 100"):
        compare([Exact()], made, repeats=0)
