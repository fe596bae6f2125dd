"""The scaling lab's pages by themselves: pictures, sentences, gains, plans, exports."""

import json
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from workbench.labs.scaling import claims, decide_form, spending, tables
from workbench.labs.scaling.accounting import accounting
from workbench.labs.scaling.bias_view import BiasView
from workbench.labs.scaling.compare_view import CompareView
from workbench.labs.scaling.decide_view import DecideView
from workbench.labs.scaling.fit_view import FitView
from workbench.labs.scaling.fits import Fitted
from workbench.labs.scaling.plan_view import PlanView
from workbench.labs.scaling.precision_view import PrecisionView
from workbench.labs.scaling.sweep_view import SweepView
from workbench.labs.scaling.test_time_view import AnswersView
from workbench.panels import wire
from workbench.panels.picture import ChartContent, EmptyContent
from workbench.panels.settings import accepted, plain, start
from workbench.progress import silent
from workbench.scaling import PRESETS, Fit, gains
from workbench.scaling.record import from_json
from workbench.scaling.settings import Settings

VIEWS = (
    FitView,
    DecideView,
    CompareView,
    PrecisionView,
    AnswersView,
    BiasView,
    PlanView,
    SweepView,
)
FROM_RUNS = (FitView, DecideView, CompareView, PlanView)
TRUTH = PRESETS["besiroglu"]


@pytest.fixture(autouse=True)
def no_study(workbench_home):
    """A store without sweeps, and nothing remembered."""


@pytest.fixture(autouse=True)
def simulated_alone(monkeypatch):
    """As without a shipped sweep, so that figures do not change with it."""
    monkeypatch.setattr(tables, "shipped_sweep", lambda: None)


def values(view, given=None):
    return accepted(view, start(view, given or view.presets[0].values))


def simulated_fit():
    """The recorded fit of the first simulated method."""
    view = FitView()
    return view.known(values(view))[0].fit


def charts(picture):
    return {
        slot: content.chart
        for slot, content in picture.contents.items()
        if isinstance(content, ChartContent)
    }


@pytest.fixture(scope="module")
def law():
    """A fit that is the truth: no resamples, no noise."""
    runs = tables.simulated().runs
    return Fit(TRUTH.law, Settings(), dict(TRUTH.params), 0.0, runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", VIEWS)
def test_a_first_picture_stands_at_once(kind):
    view = kind()
    assert [slot.id for row in view.layout for slot in row] == list(
        dict.fromkeys(slot.id for row in view.layout for slot in row)
    )
    chosen = values(view)
    assert not [p for p in view.check(chosen) if p.level == "error"]
    picture = view.predict(chosen)
    assert set(picture.contents) == {slot.id for row in view.layout for slot in row}
    assert not [c for c in picture.contents.values() if isinstance(c, EmptyContent)]
    assert json.dumps(wire.encode(picture.contents, {}), allow_nan=False)
    told = " ".join([*picture.details, view.study_line])
    assert "imulated" in told or "ublished" in told
    assert picture.basis == ("recorded" if kind in (*FROM_RUNS, SweepView) else "predicted")


@pytest.mark.parametrize("kind", VIEWS)
def test_presets_have_no_error_and_code_opens_the_same_form(kind, monkeypatch):
    from workbench.panels.panel import Panel

    monkeypatch.setattr(Panel, "run", lambda panel: None)
    view = kind()
    for preset in view.presets:
        chosen = values(view, preset.values)
        assert not [p for p in view.check(chosen) if p.level == "error"]
        space: dict = {}
        exec(view.code(chosen), space)
        assert space["panel"].settings == plain(chosen)
        space["panel"].close()


@pytest.mark.parametrize("kind", VIEWS)
def test_every_question_is_one(kind):
    view = kind()
    picture = view.predict(values(view))
    for chart in charts(picture).values():
        assert chart.title.endswith("?") and chart.subtitle and chart.rows["live"]


def test_the_largest_run_is_foreseen_first_then_one_sentence_follows():
    view = FitView()
    picture = view.predict(values(view))
    assert next(iter(picture.contents)) == "test"
    foreseen, truth, *_ = charts(picture)["test"].rows["live"]
    assert foreseen["predicted"] and not truth["predicted"]
    assert foreseen["low"] < foreseen["value"] < foreseen["high"]
    assert abs(foreseen["value"] / truth["value"] - 1) < 0.02
    words = picture.contents["said"].subtitle
    assert words.startswith("Simulated runs. With 10²¹ FLOP, 10 times the largest run: ")
    for part in ("parameters on", "tokens, loss", "what limits this:", "next run:"):
        assert part in words
    figures = {one.label: one for one in picture.contents["said"].figures}
    assert "–" in figures["Best size, N"].interval and figures["Best size, N"].basis == "predicted"


def test_no_simulated_run_decides_a_claim():
    view = FitView()
    card = view.predict(values(view)).claim
    assert card.verdict == "open" and "imulated" in card.reason
    assert [row.verdict for row in card.rows] == ["open", "open"]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.42, 0.64, "reproduced"), (0.4, 0.8, "open"), (0.6, 0.8, "failed"), (0.3, 0.45, "failed")],
)
def test_equal_growth_is_told_from_kaplans(low, high, verdict, monkeypatch):
    monkeypatch.setattr(claims, "exponent", lambda fit: (0.55, low, high))
    table = replace(tables.simulated(), real=True)
    found = Fitted(FitView().fit_of(values(FitView())))
    assert claims.equal_growth(found, {}, table).verdict == verdict


@pytest.mark.slow
def test_a_fit_made_here_replaces_the_recorded_one_and_says_the_same():
    view = FitView()
    chosen = values(view, {"fit": {"resamples": 100}})
    assert view.predict(chosen) is None
    first, *_, last = view.run(chosen, silent)
    assert isinstance(first.contents["test"], EmptyContent)
    assert charts(last)["test"].rows["live"][0]["low"] is not None
    mine = view.fit_of(chosen)
    assert mine.params["alpha"] == pytest.approx(simulated_fit().params["alpha"], abs=1e-3)
    assert view.predict(chosen) is not None


def test_a_click_leaves_a_run_out_and_a_second_one_takes_it_back():
    view = FitView()
    view.check(values(view))
    assert view.load("12") == {"filters": {"left_out": "12"}}
    view.check(values(view, {"filters": {"left_out": "12, 3"}}))
    assert view.load("12") == {"filters": {"left_out": "3"}}


@pytest.mark.slow
def test_a_law_of_compute_alone_is_fitted_to_the_best_run_of_each_budget():
    view = FitView()
    chosen = values(view, {"fit": {"law": "loss-compute", "resamples": 0}})
    *_, picture = view.run(chosen, silent)
    assert len(view.fit_of(chosen).runs) == len(tables.BUDGETS)
    methods = {row["method"] for row in charts(picture)["contours"].rows["live"]}
    assert methods == {"law", "best runs"}


def test_contours_touch_the_frontier_at_its_loss():
    chart = charts(FitView().predict(values(FitView())))["contours"]
    best = [row for row in chart.rows["live"] if row["part"] == "best"]
    for row in best[1:-1]:
        line = [r for r in chart.rows["live"] if r["part"] == "line" and r["level"] == row["level"]]
        least = min(line, key=lambda r: r["x"])
        assert least["x"] == pytest.approx(row["x"], rel=0.02)
        assert least["y"] == pytest.approx(row["y"], rel=0.3)
    assert chart.rows["beyond"][0]["from"] == pytest.approx(1e20, rel=1e-6)


def test_every_figure_leaves_with_the_fits_record():
    view = FitView()
    chosen = values(view)
    picture = view.predict(chosen)
    kinds = [one.kind for one in view.exports]
    assert {"zip", "zip curves", "zip contours", "zip residuals", "zip exponents", "json"} <= {
        *kinds
    }
    for kind in ("zip", "zip contours"):
        name, data = view.export(kind, chosen, picture)
        archive = zipfile.ZipFile(BytesIO(data))
        inside = {file.rpartition("/")[2]: file for file in archive.namelist()}
        assert {"figure.toml", "fit.json", "rows.csv", "runs.csv"} <= set(inside)
        fit = from_json(json.loads(archive.read(inside["fit.json"])))
        assert fit.params == view.fit_of(chosen).params
        assert name == f"scaling-fit{'-contours' if ' ' in kind else ''}.zip"
    assert from_json(json.loads(view.export("json", chosen, picture)[1])).draws is not None
    about = json.loads(view.export("json", chosen, picture)[1])["about"]
    assert about["table"] == view.study_line and about["methods"] == ["reference"]
    assert about["flops"] == "counted as 6 N D" and about["n_counts"] == "parameters"
    assert about["left_out"] == []
    few = view.about(values(view, {"filters": {"highest": 2}, "fit": {"law": "loss-compute"}}))
    assert few["left_out"] == ["2 of the highest losses", "38 not the best of their budget"]
    with pytest.raises(ValueError, match="no export of kind"):
        view.export("exe", chosen, picture)


def test_a_decision_moves_with_its_slider_and_is_hatched_beyond_the_runs():
    view = DecideView()
    low = view.predict(values(view, {"decision": {"compute": 1e20}}))
    high = view.predict(values(view, {"decision": {"compute": 1e22}}))
    sizes = [picture.contents["figures"].figures[0].value for picture in (low, high)]
    assert sizes[0] != sizes[1]
    knob = view.groups[1].knobs.model_fields["compute"].metadata
    assert max(getattr(m, "le", 0) for m in knob) == pytest.approx(1e22)
    beyond = charts(high)["sizes"].rows["beyond"][0]
    assert beyond["from"] == pytest.approx(1e20, rel=1e-6)
    assert "100 times the largest run" in high.contents["figures"].subtitle


@pytest.mark.parametrize("largest", [3e12, 1.26e15, 1e20])
def test_the_slider_ends_two_decades_above_the_largest_run(largest):
    knobs = decide_form.groups(largest / 30, largest, None)[0].knobs
    least, most = (
        next(getattr(m, name) for m in knobs.model_fields["compute"].metadata if hasattr(m, name))
        for name in ("ge", "le")
    )
    assert most == 100 * largest and least <= largest / 30
    for preset in decide_form.presets(largest, None):
        assert knobs.parse(preset.values["decision"]).compute <= most
    assert decide_form.presets(largest, None)[-1].values["decision"]["compute"] > 95 * largest


@pytest.mark.parametrize(("kind", "field"), [(DecideView, "Compute"), (PlanView, "First budget")])
def test_runs_elsewhere_than_the_form_are_said_with_the_way_to_open_them(kind, field, tmp_path):
    runs = tables.simulated().runs.head(45).drop(columns=["method", "flops_total"])
    small = runs.assign(n_params=runs["n_params"] / 1e6, n_tokens=runs["n_tokens"] / 1e6)
    small.to_csv(tmp_path / "runs.csv", index=False)
    view, file = kind(), str(tmp_path / "runs.csv")
    assert not view.check(values(view))
    (problem,) = view.check(values(view, {"runs": {"source": "file", "file": file}}))
    assert problem.level == "warn" and problem.message.startswith(f"{field} goes with")
    assert "these runs have 10⁶ – 10⁸ FLOP" in problem.message
    assert problem.message.endswith(f'scaling.{view.opener}("{file}")')
    assert not kind(file).check(values(kind(file)))
    back = kind(file)
    (problem,) = back.check(values(back, {"runs": {"source": "simulated"}}))
    assert problem.message.endswith(f"scaling.{view.opener}(scaling.tables.simulated().runs)")


def test_a_fit_can_be_brought_to_the_decision(tmp_path):
    given = simulated_fit()
    given.save(tmp_path / "fit.json")
    view = DecideView(fit=Fit.load(tmp_path / "fit.json"))
    assert view.predict(values(view)).contents["figures"].figures
    assert view.fit_of(values(view)).params == given.params
    assert "about" not in view.records(values(view))["fit"]


@pytest.mark.slow
def test_ways_to_spend_agree_with_the_equations_solved_one_at_a_time(law):
    counted = accounting(law.runs)
    start = spending.best(law, counted, 1e21, 1e13)
    longer = spending.over_trained(law, counted, 1e21, 4.0, 1e13)
    assert longer.tokens / longer.size == pytest.approx(4 * start.tokens / start.size, rel=1e-9)
    assert 6 * longer.tokens * longer.size == pytest.approx(1e21, rel=1e-9)
    (penalty,) = spending.penalties(law, counted, 1e21, np.asarray([4.0]))
    need = brentq(lambda c: gains.least_loss(law.params, np.exp(c)) - longer.loss, 1.0, 100.0)
    assert penalty == pytest.approx(1e21 / np.exp(need), rel=2e-3) and penalty > 1

    def total(log_size):
        """Training and serving of a size that reaches the loss, D solved from the law."""
        size, p = np.exp(log_size), law.params
        left = start.loss - p["E"] - p["A"] * size ** -p["alpha"]
        tokens = (left / p["B"]) ** (-1 / p["beta"]) if left > 0 else np.inf
        return 6 * size * tokens + 2 * size * 1e13

    cheapest = spending.cheapest(law, counted, start.loss, 1e13)
    inside = np.log([start.size / 50, start.size * 5])
    best = minimize_scalar(total, bounds=inside, method="bounded", options={"xatol": 1e-9})
    assert cheapest.total == pytest.approx(best.fun, rel=2e-3)
    assert cheapest.size == pytest.approx(np.exp(best.x), rel=0.05)
    assert cheapest.size < start.size


def test_the_simulated_variant_is_found_with_its_gain():
    view = CompareView()
    picture = view.predict(values(view))
    true = gains.gain(
        TRUTH.params | {name: TRUTH.params[name] * factor for name, factor in
                        tables.VARIANT.items()},
        TRUTH.params, 1e21,
    )  # fmt: skip
    (row,) = charts(picture)["gains"].rows["live"]
    assert row["low"] < true < row["high"] and row["low"] > 1
    assert "variant needs" in picture.contents["figures"].subtitle


@pytest.mark.slow
def test_methods_are_compared_in_the_convention_in_use():
    runs = tables.simulated().runs
    twice = runs["method"].map({"reference": 1.0, "variant": 2.0})
    view = CompareView(runs.assign(flops_detailed=twice * runs["flops_total"]))
    found = {}
    for count in ("plain", "detailed"):
        asked = values(view, {"runs": {"count": count}, "compare": {"resamples": 0}})
        assert not view.check(asked)
        *_, picture = view.run(asked, silent)
        chart = charts(picture)["gains"]
        (row,) = chart.rows["live"]
        found[count] = row["value"]
        largest = view.chosen(asked).largest
        words = view.chosen(asked).counted.title
        assert words in chart.subtitle and words in picture.contents["figures"].title
        assert all(words in str(charts(picture)[slot].spec) for slot in ("gain", "losses"))
    assert largest == pytest.approx(2e20, rel=1e-3)
    assert found["detailed"] == pytest.approx(found["plain"] / 2, rel=1e-4)
    lacking = runs.assign(flops_detailed=runs["flops_total"].where(twice == 1.0))
    view = CompareView(lacking)
    (problem,) = view.check(values(view, {"runs": {"count": "detailed"}}))
    assert problem.message.startswith("variant: FLOP count 'detailed': column flops_detailed holds")


def test_a_table_of_one_method_is_no_comparison():
    runs = tables.simulated().runs
    view = CompareView(runs[runs["method"] == "variant"])
    (problem,) = view.check(values(view))
    assert problem.level == "error" and "only 'variant'" in problem.message
