"""A record makes the fit again, and says what is wrong with one that cannot."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.scaling.surfaces import runs
from workbench.scaling import (
    Across,
    Chinchilla,
    Fit,
    back_test,
    fit,
    influence,
    leave_one_size_out,
    profile,
    project,
)
from workbench.scaling.record import about, as_json, from_json, law_as_json, law_from_json


@pytest.fixture(scope="module")
def found() -> Fit:
    return fit(Chinchilla(), runs(noise=0.005), bootstrap=64)


def test_a_fit_comes_back_whole(found: Fit, tmp_path: Path) -> None:
    file = tmp_path / "fits" / "one.json"
    found.save(file)
    again = Fit.load(file)
    assert again.law == found.law and again.settings == found.settings
    assert again.params == found.params and again.objective == found.objective
    np.testing.assert_array_equal(again.draws, found.draws)
    np.testing.assert_allclose(again.residuals, found.residuals, rtol=1e-12)
    assert again.allocation(1e24).equals(found.allocation(1e24))
    assert again.intervals == found.intervals


@pytest.mark.slow
@pytest.mark.long
def test_a_record_says_what_the_objective_is_of(found: Fit, tmp_path: Path) -> None:
    projected, _ = project(runs(noise=0.005), delta=1e-2)
    file = tmp_path / "one.json"
    projected.save(file)
    assert json.loads(file.read_text())["settings"]["estimator"] == "projection"
    again = Fit.load(file)
    assert again.settings == projected.settings and again.estimator == "projection"
    assert again.summary() == projected.summary()
    first = again.summary().splitlines()[0]
    assert "variable projection, sum of huber, delta 0.01 of loss itself" in first
    assert "projection" not in found.summary()
    # The objective is of these residuals, and of no logarithm.
    size = again.residuals.abs()
    each = np.where(size <= 1e-2, size**2 / 2, 1e-2 * (size - 5e-3))
    assert each.sum() == pytest.approx(again.objective, rel=1e-9)
    for asked in (leave_one_size_out, back_test, lambda fit: influence(fit, 1e24)):
        with pytest.raises(ValueError, match="estimator is 'projection'"):
            asked(again)
    with pytest.raises(ValueError, match="estimator is 'projection'"):
        profile(again, "E", [1.8])


def test_a_record_from_before_estimators_were_named_loads(found: Fit) -> None:
    content = as_json(found)
    assert content["settings"].pop("estimator") == "residuals"
    old = from_json(content)
    assert old.settings == found.settings and old.estimator == "residuals"
    content["settings"]["estimator"] = "guess"
    with pytest.raises(ValueError, match="estimator is 'guess', not one of residuals, projection"):
        from_json(content)


def test_what_a_fit_is_about_is_written_and_read_past(found: Fit, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    told = about("runs.csv", ("dense",), ["3 above 4 epochs"], "counted as 6 N D", "parameters")
    found.save(file, told)
    assert json.loads(file.read_text(encoding="utf-8"))["about"] == told
    assert Fit.load(file).params == found.params
    assert "about" not in as_json(found)


def test_a_law_inside_a_law_comes_back() -> None:
    law = Across(("dense", "ternary"), law=Chinchilla(tied=True), shared=("E", "alpha"))
    assert law_from_json(json.loads(json.dumps(law_as_json(law)))) == law


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "figure"}, "no record of a scaling-law fit"),
        ({"format": 99}, "format 99"),
        ({"law": {"key": "linear", "settings": {}}}, "law 'linear' is not one of"),
        ({"law": {"key": "chinchilla", "settings": {"tide": 1}}}, "no setting tide"),
        ({"fitted": {"E": 1.0}}, "incomplete"),
    ],
)
def test_a_record_that_is_none(found: Fit, tmp_path: Path, change: dict, words: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(as_json(found) | change), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        Fit.load(file)


def test_changed_runs_are_found_out(found: Fit, tmp_path: Path) -> None:
    content = as_json(found)
    content["runs"]["columns"]["loss"][0] *= 1.01
    file = tmp_path / "one.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="hash differs"):
        Fit.load(file)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="not JSON"):
        Fit.load(file)
