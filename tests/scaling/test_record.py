"""A record makes the fit again, and says what is wrong with one that cannot."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.scaling.surfaces import runs
from workbench.scaling import Across, Chinchilla, Fit, fit
from workbench.scaling.record import as_json, law_as_json, law_from_json


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
