"""Approach 1 on its page and among the exponents: a log by step, a table without one, faults."""

import numpy as np
import pandas as pd
import pytest

from workbench.labs import scaling
from workbench.labs.scaling import other_ways, parabola_charts, tables
from workbench.labs.scaling.envelope_view import EnvelopeView
from workbench.labs.scaling.fit_view import FitView
from workbench.panels.picture import ChartContent, EmptyContent
from workbench.panels.settings import accepted, start
from workbench.scaling.bias import simulated
from workbench.scaling.presets import BESIROGLU

EXPONENT = BESIROGLU["beta"] / (BESIROGLU["alpha"] + BESIROGLU["beta"])


@pytest.fixture
def log(tmp_path, workbench_home):
    """Twenty sizes, two horizons each, losses of a known law on the way."""
    rows = []
    for run, size in enumerate(np.geomspace(1e6, 1e10, 20)):
        for horizon in (2e11, 2e13):
            tokens = np.geomspace(1e6, horizon, 200)
            loss = (
                BESIROGLU["E"]
                + BESIROGLU["A"] / size ** BESIROGLU["alpha"]
                + BESIROGLU["B"] / tokens ** BESIROGLU["beta"]
            )
            name = f"{run}-{horizon:g}"
            rows.append(
                pd.DataFrame({"run": name, "n_params": size, "n_tokens": tokens, "loss": loss})
            )
    file = tmp_path / "steps.csv"
    pd.concat(rows).to_csv(file, index=False)
    return file


def values(view, given=None):
    return accepted(view, start(view, given or {}))


@pytest.mark.slow
def test_the_envelope_of_a_log_has_the_laws_exponent(log):
    view = EnvelopeView(str(log))
    chosen = values(view, {"envelope": {"smoothing": 0.0}})
    assert not view.check(chosen)
    picture = view.predict(chosen)
    assert list(picture.contents) == ["curves", "growth", "figures", "table"]
    assert picture.basis == "measured"
    shown = {one.label: one for one in picture.contents["figures"].figures}
    assert float(shown["Exponent a of N*"].value) == pytest.approx(EXPONENT, abs=0.02)
    low, high = shown["Exponent a of N*"].interval.removeprefix("80 %: ").split(" – ")
    assert float(low) <= float(shown["Exponent a of N*"].value) <= float(high)
    lines = [row for row in picture.contents["curves"].chart.rows["live"] if row["part"] == "line"]
    assert len({row["level"] for row in lines}) == 9
    found = view.tables(chosen, picture)
    assert len(found["resamples"]) == 100 and found["curves"]["run"].nunique() == 40
    assert view.export("zip growth", chosen, picture)[1]


def test_compute_counts_as_the_form_asks(log):
    frame = pd.read_csv(log)
    frame["flops_total"] = 12 * frame["n_params"] * frame["n_tokens"]
    frame.to_csv(log, index=False)
    view = EnvelopeView(str(log))
    plain, total = (
        view.tables(values(view, {"runs": {"count": count}}), None)["curves"]["compute"]
        for count in ("plain", "total")
    )
    np.testing.assert_allclose(total, 2 * plain)


@pytest.mark.slow
def test_approach_1_stands_among_the_exponents(log):
    view = FitView(str(log))
    chosen = values(view, {"fit": {"resamples": 0, "starts": 8}})
    *_, picture = view.run(chosen, lambda *_: None)
    names = {row["group"] for row in picture.contents["exponents"].chart.rows["live"]}
    assert "Here, approach 1" in names


def test_a_table_of_one_row_a_run_says_what_curves_need(workbench_home, monkeypatch):
    monkeypatch.setattr(tables, "shipped_sweep", lambda: None)
    view = EnvelopeView(tables.simulated().runs)
    picture = view.predict(values(view))
    assert all(isinstance(one, EmptyContent) for one in picture.contents.values())
    assert "by step" in picture.contents["curves"].text


def test_the_first_picture_without_a_sweep_is_simulated_and_says_so(workbench_home, monkeypatch):
    monkeypatch.setattr(tables, "shipped_sweep", lambda: None)
    view = EnvelopeView()
    picture = view.predict(values(view))
    assert list(picture.contents) == ["curves", "growth", "figures", "table"]
    assert "simulated" in picture.details and picture.basis == "predicted"
    shown = {one.label: one for one in picture.contents["figures"].figures}
    assert float(shown["Exponent a of N*"].value) == pytest.approx(EXPONENT, abs=0.06)


def test_the_panel_opens_with_its_picture_and_as_code(workbench_home):
    panel = scaling.curves()
    assert list(panel.picture.contents) == ["curves", "growth", "figures", "table"]
    space: dict = {}
    exec(panel.view.code(panel.values), space)
    assert space["panel"].settings == panel.settings
    for one in (panel, space["panel"]):
        one.close()


def test_the_shipped_sweep_brings_its_curves(tmp_path, monkeypatch):
    runs = {
        "method": ["a"] * 4, "n_params": [10, 20, 40, 80], "n_tokens": [400, 200, 100, 50],
        "loss": [2.0, 1.9, 1.95, 2.2], "flops_total": [4000.0] * 4,
    }  # fmt: skip
    pd.DataFrame(runs).to_csv(tmp_path / "runs.csv", index=False)
    steps = [(row, n * share) for row, n in enumerate(runs["n_tokens"]) for share in (0.5, 1.0)]
    pd.DataFrame(
        [{"row": row, "n_tokens": int(n), "loss": 3 - n / 400} for row, n in steps]
    ).to_csv(tmp_path / "curves.csv", index=False)
    monkeypatch.setattr(tables.shipped, "path", lambda name: tmp_path / name.rpartition("/")[2])
    tables.shipped_sweep.cache_clear()
    try:
        found = tables.shipped_sweep()
        curves = found.curves
        assert list(curves["flops_total"]) == [2000.0, 4000.0] * 4
        assert list(curves["run"]) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert list(curves["n_params"]) == [10, 10, 20, 20, 40, 40, 80, 80]
        view = EnvelopeView()
        picture = view.predict(values(view))
        assert picture.basis == "recorded" and isinstance(picture.contents["curves"], ChartContent)
    finally:
        tables.shipped_sweep.cache_clear()


def test_two_sizes_give_curves_and_no_line(log):
    frame = pd.read_csv(log)
    frame[frame["n_params"] < 2e6].to_csv(log, index=False)
    view = EnvelopeView(str(log))
    picture = view.predict(values(view))
    assert isinstance(picture.contents["curves"], ChartContent)
    assert "three" in picture.contents["growth"].text
    assert set(view.tables(values(view), picture)) == {"curves"}


def test_a_file_that_is_not_there_is_said(workbench_home):
    view = EnvelopeView()
    (problem,) = view.check(values(view, {"runs": {"source": "file", "file": "nowhere.csv"}}))
    assert problem.level == "error" and problem.field == "file" and "nowhere.csv" in problem.message


def test_points_that_are_none_are_left_out_with_words(log):
    table = pd.read_csv(log)
    table.loc[5, "loss"] = -1.0
    table.to_csv(log, index=False)
    view = EnvelopeView(str(log))
    chosen = values(view)
    (told,) = view.check(chosen)
    assert told.level == "warn" and "row 5: loss is -1.0" in told.message
    picture = view.predict(chosen)
    assert list(picture.contents) == ["curves", "growth", "figures", "table"]
    assert len(view.tables(chosen, picture)["curves"]) == len(table) - 1
    assert any("row 5" in words for words in view.records(chosen)["fit"]["left_out"])


def test_parabolas_leave_out_rows_without_tokens_and_say_so():
    runs = simulated(BESIROGLU, 6.0, 1.0, 1.0, (1e18, 1e19, 1e20), 8)
    runs.loc[7, "n_tokens"] = np.nan
    shown = parabola_charts.parabolas(runs)
    assert isinstance(shown, ChartContent)
    assert "left out: row 7: n_tokens is empty" in shown.chart.subtitle
    assert len(parabola_charts.vertices(runs)) == 3
    assert other_ways.by_parabolas(runs)[0] == pytest.approx(EXPONENT, abs=0.02)
