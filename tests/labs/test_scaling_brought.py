"""What the scaling lab makes of sweeps, logs and tables in other conventions."""

import numpy as np
import pandas as pd
import pytest

from tests.scaling.studies import ladder, study_of
from workbench.labs.scaling import fit_charts, tables
from workbench.labs.scaling.accounting import TITLES, accounting
from workbench.labs.scaling.decide_view import DecideView
from workbench.labs.scaling.envelope_view import EnvelopeView
from workbench.labs.scaling.fit_view import FitView
from workbench.labs.scaling.fits import foreseen, held
from workbench.labs.scaling.plan_view import PlanView
from workbench.labs.scaling.runs_form import Shelf
from workbench.labs.scaling.selection import selected, selected_curves
from workbench.panels.settings import accepted, plain, start
from workbench.runs import Store
from workbench.scaling import PRESETS, Fit
from workbench.scaling.settings import Settings

TRUTH = PRESETS["besiroglu"]


@pytest.fixture(autouse=True)
def own_store(workbench_home):
    """A store of this test's own."""


def values(view, given=None):
    return accepted(view, start(view, given or {}))


def messages(view, given=None):
    return [problem.message for problem in view.check(values(view, given))]


def simulated(**columns):
    """45 runs of one method under this library's names."""
    runs = tables.simulated().runs.head(45)[["n_params", "n_tokens", "loss"]]
    return runs.assign(**{name: make(runs) for name, make in columns.items()})


def fit_of(runs):
    return Fit(TRUTH.law, Settings(), dict(TRUTH.params), 0.0, runs)


def test_a_sweep_of_the_store_is_chosen_by_name_with_its_curves():
    study = ladder(Store())
    view = FitView()
    assert view.shelf.sources["study:ladder"] == "Sweep ladder"
    chosen = values(view, {"runs": {"source": "study:ladder", "tokens_scale": "1e3"}})
    table = view.table(chosen)
    assert len(table.runs) == 6 and table.runs["n_tokens"].max() == 2e8
    assert "6 finished of 7 runs" in table.note and table.methods == ("dense",)
    steps = selected_curves(table, chosen["runs"])
    assert len(steps.runs) == 12
    assert steps.largest == pytest.approx(6 * 4e6 * 2e8)
    assert messages(EnvelopeView(), {"runs": {"source": "study:ladder"}}) == []
    study_of(Store(), "empty", [], waiting=1)
    empty = {"runs": {"source": "study:empty"}}
    assert messages(FitView(), empty) == ["study 'empty' has no finished run"]
    assert study.table()["state"].tolist().count("waiting") == 1


def test_a_study_opens_the_pages_and_their_code_does_too(monkeypatch, tmp_path):
    from workbench.panels.panel import Panel

    monkeypatch.setattr(Panel, "run", lambda panel: None)
    rows = [
        ({"n": int(row["n_params"])}, {"n_tokens": row["n_tokens"], "loss": row["loss"]}, [])
        for row in simulated().iloc[::4].to_dict("records")
    ]
    for store in (Store(), Store(tmp_path / "other")):
        view = FitView(study_of(store, "mine", rows))
        chosen = values(view)
        assert not view.check(chosen) and len(view.chosen(chosen).runs) == 12
        space: dict = {}
        exec(view.code(chosen), space)
        assert space["panel"].settings == plain(chosen)
        space["panel"].close()
        assert PlanView(view.given).study_line == "Sweep mine · 12 finished of 12 runs of a sweep"


def test_a_sweep_that_went_on_is_read_anew():
    study = ladder(Store(), waiting=0)
    view = FitView(study)
    before = view.table(values(view))
    assert view.table(values(view)) is before
    run = study.runs()[0]
    study._ended.clear()
    (run.folder / "status.json").write_text('{"state": "running"}', encoding="utf-8")
    assert len(view.table(values(view)).runs) == 5


@pytest.fixture
def log(tmp_path):
    """A log of two runs that has steps and losses alone."""
    file = tmp_path / "log.csv"
    rows = [(run, step, 5 - step / 10) for run in ("small", "large") for step in range(1, 9)]
    pd.DataFrame(rows, columns=["run", "step", "loss"]).to_csv(file, index=False)
    return str(file)


def test_a_log_reaches_laws_and_curves_once_sizes_and_tokens_are_given(log):
    view = FitView(log)
    (lacking,) = messages(view)
    assert "columns n_params, n_tokens: not in the table" in lacking
    with pytest.raises(ValueError, match="Compute needs n_params and n_tokens"):
        DecideView(log)
    given = {"size_column": "small = 1M; large = 2M", "step_tokens": "1000", "points": "all"}
    chosen = values(view, {"runs": given})
    table = view.table(chosen)
    assert len(table.runs) == 16 and "all points of 2 runs" in table.note
    assert "D = steps × tokens a step" in table.note
    assert table.runs.groupby("run")["n_tokens"].max().tolist() == [8000, 8000]
    few, found = view.check(chosen)
    assert few.level == "error" and (found.level, found.field) == ("warn", "finished")
    assert "no learning rate: all but a run’s last point count as mid-schedule" in found.message
    assert "count as mid-schedule" in table.note
    assert view.chosen(chosen).runs["n_tokens"].tolist() == [8000, 8000]
    assert view.chosen(chosen).left_out == ["14 mid-schedule"]
    every = {"runs": given, "filters": {"finished": False}}
    assert len(view.chosen(values(view, every)).runs) == 16
    (found,) = view.check(values(view, every))
    assert (found.level, found.field) == ("warn", "resampling")
    clusters = {**every, "fit": {"resampling": "cluster"}}
    assert view.check(values(view, clusters)) == []
    assert len(selected_curves(table, chosen["runs"]).runs) == 16
    view.remember(chosen)
    again = selected_curves(EnvelopeView(log).shelf.first, values(EnvelopeView(log))["runs"])
    assert again.runs["compute"].max() == pytest.approx(6 * 2e6 * 8000)


def test_more_columns_are_put_right_by_hand(tmp_path):
    file = tmp_path / "mine.csv"
    table = simulated(what=lambda runs: np.arange(45) % 2, work=lambda runs: np.arange(45.0) + 1)
    table.assign(distinct=3.0, draw=7).to_csv(file, index=False)
    view = FitView(str(file))
    given = {"method_column": "what", "seed_column": "draw", "unique_column": "distinct",
             "unique_scale": "1e9", "flops_column": "work", "flops_scale": "1e9",
             "count": "given"}  # fmt: skip
    chosen = values(view, {"runs": given})
    found = view.table(chosen)
    assert found.methods == ("0", "1") and set(found.runs["seed"]) == {7}
    other = {"runs": {**given, "by_name": "1"}, "filters": {"epochs": 1000}}
    assert view.chosen(values(view, other)).methods == ("1",)
    (problem,) = messages(view, {"runs": {**given, "by_name": "2"}})
    assert problem == "Method '2' is none of 0, 1"
    assert set(found.runs["unique_tokens"]) == {3e9}
    used = view.chosen(values(view, {"runs": given, "filters": {"epochs": 1000}}))
    assert used.runs["flops"].to_numpy() == pytest.approx(1e9 * (used.runs.index + 1.0))
    assert used.counted.title == "counted as given in the table"
    (problem,) = messages(view, {"runs": {**given, "flops_column": ""}})
    assert "needs column flops" in problem or "No column was proposed for flops" in problem


def test_sizes_without_the_embedding_are_said_and_counted_as_kaplan_did():
    body = simulated().rename(columns={"n_params": "n_non_embedding"})
    view = FitView(body)
    chosen = view.chosen(values(view))
    assert chosen.counted.title == "counted as 6 N D without embedding and head"
    assert (chosen.runs["n_params"] == chosen.runs["n_non_embedding"]).all()
    assert fit_charts.size_axis(chosen).title == "Parameters without embedding"
    whole = FitView(body.assign(width=512, vocab=32_000))
    chosen = whole.chosen(values(whole))
    added = chosen.runs["n_params"] - chosen.runs["n_non_embedding"]
    assert not chosen.body and set(added) == {512 * 32_000}
    counted = FitView(simulated().rename(columns={"n_params": "size", "n_tokens": "tokens"}))
    given = {"runs": {"size_counts": "body", "embedding_column": "1M"}}
    added = counted.chosen(values(counted, given)).runs
    assert set((added["n_params"] - added["n_non_embedding"]).round()) == {1e6}


def costly(runs):
    """FLOPs to which small models' heads add most."""
    return (6 + 2e10 / runs["n_params"]) * runs["n_params"] * runs["n_tokens"]


def test_the_largest_runs_are_those_of_the_count_in_use():
    shelf = Shelf(simulated(flops_detailed=costly))
    knobs = shelf.group().knobs
    plain_, detailed = (selected(shelf.first, knobs.parse({"count": c})) for c in
                        ("plain", "detailed"))  # fmt: skip
    apart = held(detailed.runs, 8.0)
    assert apart != held(plain_.runs, 8.0)
    tested, _ = foreseen(fit_of(detailed.runs), 8.0)
    assert {str(label) for label in tested.index} == apart


@pytest.mark.parametrize("count", TITLES)
def test_the_test_of_a_law_names_the_count_in_use_on_two_lines(count):
    runs = simulated(**{"flops" if count == "given" else f"flops_{count}": costly})
    tested = fit_of(runs).runs.tail(3).assign(value=3.0, error=-0.0123, low=2.9, high=3.1)
    counted = accounting(runs, count).title
    chart = fit_charts.foreseen(tested, 8.0, counted)
    assert f"the largest FLOP, {counted} · bar: 95 % · filled: truth" in chart.subtitle
    assert len(chart.drawn()["title"]["subtitle"]) == 2


def test_a_count_without_numbers_is_no_count():
    with pytest.raises(ValueError, match="column flops holds no number above 0"):
        accounting(simulated().assign(flops="many"), "given")


def test_every_chart_of_compute_says_how_it_is_counted():
    view = DecideView(simulated(flops_detailed=costly))
    view.fit = fit_of(view.shelf.first.runs)
    contents = view.predict(values(view, {"runs": {"count": "detailed"}})).contents
    for slot in ("sizes", "losses", "penalty", "serving"):
        chart = contents[slot].chart
        assert "counted as all its products" in f"{chart.subtitle} {chart.spec}", slot
