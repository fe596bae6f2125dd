"""The lab's charts say what the recorded study holds."""

import numpy as np
import pytest

from tests.labs.test_view import settings
from workbench.figures import command, export_figure
from workbench.labs.diffusion.view import DiffusionView


@pytest.fixture(scope="module")
def view() -> DiffusionView:
    return DiffusionView()


def drawn(view, **over):
    """The charts of the picture with these settings."""
    contents = view.predict(settings(view, **over)).contents
    found = {name: getattr(content, "chart", None) for name, content in contents.items()}
    return {name: chart for name, chart in found.items() if chart is not None}


@pytest.fixture(scope="module")
def charts(view):
    return drawn(view)


@pytest.mark.parametrize("name", ["time_quality", "drift", "arithmetic", "error", "spectrum"])
def test_every_chart_is_drawn_again_from_its_record(charts, name, tmp_path):
    export_figure(charts[name], destination=tmp_path / "figure", theme="dark")
    assert command.figure(tmp_path / "figure", check=True) == command.SAME


def series(view, code, name):
    """Values [pictures, places] of one recorded method, straight from the tables."""
    tables = view.recorded.comparison.tables
    ids = set(tables.trials["trial_id"][tables.trials["code"] == code])
    found = tables.series[(tables.series["name"] == name) & tables.series["trial_id"].isin(ids)]
    return found.pivot(index="trial_id", columns="x", values="y").to_numpy()


def of(chart, method):
    return [row for row in chart.rows["live"] if row["method"] == method]


def test_points_of_a_method_are_told_apart_by_their_words(view, charts):
    live = charts["time_quality"].rows["live"]
    assert len(live) == len(view.recorded.points)
    told = [(row["method"], row["label"]) for row in live]
    assert all(label for _, label in told)
    assert len(set(told)) == len(told)


def test_the_full_run_stands_at_the_top_and_what_is_lost_below(charts):
    live = charts["time_quality"].rows["live"]
    assert [row["key"] for row in live if row["y"] == 0] == ["FullSampling()"]
    by_quality = sorted(live, key=lambda row: row["quality"])
    assert [row["y"] for row in by_quality] == sorted(row["y"] for row in live)


def test_spectrum_is_the_geometric_mean_over_pictures(view, charts):
    for method, code in (
        ("Encoder propagation", "EncoderPropagation()"),
        ("Feature inheritance", "FeatureInheritance()"),
        ("Fewer steps", "FewerSteps()"),
    ):
        ratios = series(view, code, "spectrum")
        rows = of(charts["spectrum"], method)
        assert [row["x"] for row in rows] == list(range(ratios.shape[1]))
        means = np.exp(np.log(ratios).mean(axis=0))
        np.testing.assert_allclose([row["value"] for row in rows], means, rtol=1e-9)
        assert all(row["low"] < row["value"] < row["high"] for row in rows)
    assert charts["spectrum"].rows["level"] == [{"y": 1.0}]


def test_error_is_shown_where_both_runs_stand_at_the_same_share(view, charts):
    shares = [row["x"] for row in of(charts["error"], "Fewer steps")]
    assert shares == [10.0 * k for k in range(11)]  # 20 steps meet 50 at every second one
    plan = of(charts["error"], "Encoder propagation")
    assert len(plan) == 51 and plan[0]["value"] == 0
    errors = series(view, "EncoderPropagation()", "latent_error").mean(axis=0)
    np.testing.assert_allclose([row["value"] for row in plan[1:]], errors, rtol=1e-9)


def test_operations_beside_the_drift_map_are_a_whole_pass(view, charts):
    beside = charts["drift"].arguments["beside"]
    assert sum(beside.values()) == pytest.approx(100)
    assert set(beside) == {row["block"] for row in charts["drift"].rows["live"]}
    most = max(view.facts.block_macs, key=view.facts.block_macs.__getitem__)
    assert max(beside, key=beside.__getitem__) == most.replace(".", " ")


def test_drift_of_another_run_says_whose_it_is(view):
    assert "measured at" not in drawn(view)["drift"].subtitle
    fewer = drawn(view, sampling={"look": "Fewer steps"})
    assert "(measured at 50 steps)" in fewer["drift"].subtitle
    other = drawn(view, sampling={"steps": 20})
    assert "(measured at DDIM, 50 steps)" in other["drift"].subtitle


def test_curves_nobody_ran_are_left_out(view):
    charts = drawn(view, feature_inheritance={"interval": 7})
    for name in ("error", "spectrum"):
        shown = {row["method"] for row in charts[name].rows["live"]}
        assert shown == {"Encoder propagation", "Fewer steps"}
    charts = drawn(view, sampling={"steps": 30})
    assert charts["error"].rows["live"] == charts["spectrum"].rows["live"] == []


@pytest.mark.parametrize(("steps", "reach"), [(50, 120), (20, 120), (8, 300)])
def test_bars_stay_within_their_axis(view, steps, reach):
    """Twenty steps "instead" of eight are two and a half times the work."""
    chart = drawn(view, sampling={"steps": steps}, fewer_steps={"steps": 20})["arithmetic"]
    longest = max(row["end"] for row in chart.rows["live"])
    assert longest <= reach
    assert chart.arguments["measured"]["domain"] == (0.0, reach)
