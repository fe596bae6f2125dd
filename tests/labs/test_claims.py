"""Claim cards: what decides, what does not, and where it was measured."""

from dataclasses import replace

import pytest

from tests.labs.test_view import settings
from workbench.diffusion.encoder_propagation import THE_PAPERS
from workbench.labs.diffusion.claims import NOT_TIMED, claim
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.settings import accepted, start

PROPAGATION, INHERITANCE = "Encoder propagation", "Feature inheritance"
SHIPPED = "digits."
NOISE = {"injection": THE_PAPERS["injection"]}
PAPERS = {"encoder_propagation": dict(THE_PAPERS)}
DEVICES = {"measured": "this machine", "recorded": "that machine"}


@pytest.fixture(scope="module")
def view():
    return DiffusionView()


def scene(view, look, **groups):
    sampling = {"look": look} | groups.pop("sampling", {})
    return view._scene(settings(view, sampling=sampling, **PAPERS | groups))


def card(view, look, **groups):
    return claim(scene(view, look, **groups), SHIPPED, DEVICES)


def row(found, what):
    (one,) = [row for row in found.rows if row.what.startswith(what)]
    return one


def timed(found, seconds, basis="measured"):
    """The same scene, the method looked at taking so many times the baseline's time."""
    points = dict(found.points)
    for code, share in ((found.baseline.code(), 1.0), (found.look.code(), seconds)):
        whole = found.base.seconds
        points[code] = replace(points[code], seconds=whole.times(share), basis=basis)
    return replace(found, points=points)


@pytest.mark.parametrize(("look", "what"), [(PROPAGATION, "Time"), (INHERITANCE, "Speed")])
def test_a_prediction_decides_nothing(view, look, what):
    found = card(view, look, sampling={"guidance": 4.0})
    assert (found.verdict, found.reason) == ("open", NOT_TIMED)
    assert (row(found, what).verdict, row(found, what).basis) == ("open", "predicted")
    assert "not run" not in row(found, what).here and "Here:" not in found.setting


@pytest.mark.parametrize(
    ("look", "seconds", "verdict"),
    [
        (PROPAGATION, 0.59, "reproduced"), (PROPAGATION, 0.61, "reproduced"),
        (PROPAGATION, 0.63, "part"), (PROPAGATION, 0.96, "part"), (PROPAGATION, 0.98, "failed"),
        (INHERITANCE, 1 / 2.2, "reproduced"), (INHERITANCE, 1 / 2.1, "part"),
        (INHERITANCE, 1 / 1.04, "failed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("basis", ["measured", "recorded"])
def test_a_run_with_the_papers_settings_decides_on_speed(view, look, seconds, verdict, basis):
    found = claim(timed(scene(view, look), seconds, basis), SHIPPED, DEVICES)
    assert found.verdict == found.rows[2].verdict == verdict
    assert found.rows[2].basis == basis and found.reason.startswith("On speed alone: ")
    assert "Decided on speed alone" in found.details
    assert f"digits. Here: {DEVICES[basis]}. Paper: " in found.setting


def test_a_point_is_not_held_against_a_baseline_of_another_run(view):
    mixed = timed(scene(view, PROPAGATION), 0.5, "measured")
    base = replace(mixed.base, basis="predicted")
    mixed = replace(mixed, points={**mixed.points, base.code: base})
    assert claim(mixed, SHIPPED, DEVICES).verdict == "open"


@pytest.mark.parametrize(
    ("look", "groups"),
    [
        (PROPAGATION, {"sampling": {"sampler": "dpm++"}}),
        (PROPAGATION, {"sampling": {"steps": 60}}),
        (PROPAGATION, {"encoder_propagation": {"key_steps": "triangular"} | NOISE}),
        (PROPAGATION, {"encoder_propagation": {"key_steps": "paper", "injection": 0}}),
        (PROPAGATION, {"encoder_propagation": {"key_steps": "paper", "injection": 0.004}}),
        (INHERITANCE, {"sampling": {"sampler": "dpm++"}}),
        (INHERITANCE, {"sampling": {"sampler": "ddpm"}}),
        (INHERITANCE, {"sampling": {"steps": 60}}),
        (INHERITANCE, {"feature_inheritance": {"interval": 4}}),
        (INHERITANCE, {"feature_inheritance": {"mode": "centre-dense"}}),
    ],
)
def test_other_settings_than_the_papers_decide_nothing(view, look, groups):
    found = claim(timed(scene(view, look, **groups), 0.2), SHIPPED, DEVICES)
    assert found.verdict == "open" and "not the paper's settings" in found.reason
    assert {row.verdict for row in found.rows} == {"open"}


@pytest.mark.parametrize(
    ("look", "groups", "here"),
    [
        (PROPAGATION, {}, "−26.7 %"),
        (INHERITANCE, {}, "3.80 ×"),
        (INHERITANCE, {"feature_inheritance": {"branch": 1}}, "2.64 ×"),
        (INHERITANCE, {"feature_inheritance": {"branch": 2}}, "1.98 ×"),
        (INHERITANCE, {"feature_inheritance": {"interval": 10}}, "5.85 ×"),
    ],
)
def test_operations_on_the_papers_model_are_those_of_the_plan_on_the_screen(
    view, look, groups, here
):
    assert row(card(view, look, **groups), "MACs, SD 1.5").here == here


def test_the_first_preset_has_the_papers_settings_and_is_decided(view):
    first = accepted(view, start(view, view.presets[0].values))
    assert first["encoder_propagation"].injection == 0.003
    found = view.predict(first).claim
    assert found.verdict != "open" and row(found, "Time").basis == "recorded"


def test_the_panel_names_the_device_of_the_record(view):
    found = view.predict(settings(view, **PAPERS)).claim
    assert f"Here: {view.recorded.device}. " in found.setting
    assert found.verdict != "open" and "@" in found.bibtex
