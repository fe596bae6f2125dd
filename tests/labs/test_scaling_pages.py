"""The scaling lab's pages that need no fit of one's own: bits, answers, bias, plans, sweeps."""

import numpy as np
import pandas as pd
import pytest

from workbench.labs.scaling import precision_view, served_models, sweep_view, tables
from workbench.labs.scaling.bias_view import BiasView
from workbench.labs.scaling.plan_view import PlanView
from workbench.labs.scaling.precision_view import PrecisionView
from workbench.labs.scaling.sweep_view import SweepView
from workbench.labs.scaling.test_time_view import AnswersView
from workbench.panels.picture import ChartContent
from workbench.panels.settings import accepted, start
from workbench.progress import silent


@pytest.fixture(autouse=True)
def simulated_alone(monkeypatch, workbench_home):
    """As without a shipped sweep, with an empty store."""
    monkeypatch.setattr(tables, "shipped_sweep", lambda: None)


def values(view, given=None):
    return accepted(view, start(view, given or view.presets[0].values))


def charts(picture):
    return {
        slot: content.chart
        for slot, content in picture.contents.items()
        if isinstance(content, ChartContent)
    }


def test_the_best_bits_are_least_in_loss_and_few_where_memory_is_dear():
    losses = precision_view.under_cap(0.25, 2e10, "all")
    view = PrecisionView()
    picture = view.predict(values(view))
    best = picture.contents["figures"].figures[0]
    assert float(best.value) == precision_view.BITS[int(np.argmin(losses))]
    assert 3 < float(best.value) < 12
    figures = {one.label: one.value for one in picture.contents["figures"].figures}
    assert figures["Best bits by cost"] == "7.0"
    given = {"qat": {"size": 2e8, "tokens": 1e10, "bits": 4}}
    picture = view.predict(values(view, given))
    figures = {one.label: one.value for one in picture.contents["figures"].figures}
    assert (figures["Tokens a byte"], figures["Share of QAT\u00a0†"]) == ("100", "23.2 %")


def test_answers_cost_what_the_model_says():
    view = AnswersView()
    picture = view.predict(values(view))
    rows = {row[0].text: [cell.text for cell in row[1:5]] for row in picture.contents["parts"].rows}
    assert rows["8B"][3] == "3 112" or float(rows["8B"][3].replace("\u2009", "")) == 3112
    more = charts(view.predict(values(view, {"answers": {"intensity": 1.0}})))["pareto"]
    first = charts(picture)["pareto"]
    cost = {row["key"]: row["cost"] for row in first.rows["live"]}
    assert all(row["cost"] < cost[row["key"]] for row in more.rows["live"])
    shares = [row["quality"] for row in first.rows["live"] if row["key"].startswith("8B dense")]
    assert shares == sorted(shares) and len(shares) == 6


def test_trials_of_ones_own_are_checked():
    good = pd.DataFrame(
        {"model": "8B", "question": [0, 1], "correct": [1, 4], "trials": 4, "tokens": 100.0}
    )
    rows = charts(AnswersView(good).predict(values(AnswersView(good))))["pareto"].rows["live"]
    shares = [row["quality"] for row in rows if row["method"] == "Dense"]
    assert shares == pytest.approx([62.5, 75.0, 100.0])
    for wrong, words in (
        (good.drop(columns="tokens"), "columns tokens are not in the trials"),
        (good.assign(model="9B"), "model 9B: not one of"),
        (good.assign(correct=[1, 5]), "correct in rows 1"),
    ):
        with pytest.raises(ValueError, match=words):
            served_models.checked(wrong)


def test_parabolas_miss_as_published():
    view = BiasView()
    chosen = values(view, {"design": {"surface": "hoffmann", "width": 16.0}})
    found = view.predict(chosen).contents
    assert found["figures"].figures[0].value == "−5.1 %"
    hoffmann, _, symmetric, _ = found["table"].rows
    assert [cell.text for cell in hoffmann[1:5]] == ["−0.33 %", "−1.3 %", "−2.9 %", "−5.1 %"]
    assert [cell.text for cell in symmetric[1:5]] == ["0 %"] * 4
    drifted = view.predict(values(view, {"design": {"width": 8.0, "drift": 3.0}}))
    assert drifted.contents["figures"].figures[0].value == "+6.94 %"


def test_a_plan_that_misses_the_best_size_says_so():
    view = PlanView()
    good = view.predict(values(view)).contents
    assert "both sides" in good["figures"].subtitle
    given = {"plan": {"smallest": 1e6, "largest": 3e7}}
    bad = view.predict(values(view, given)).contents
    assert "misses the best size" in bad["figures"].subtitle
    assert {row[4].text for row in bad["brackets"].rows} == {"missed"}
    assert any(row["part"] == "flag" for row in bad["grid"].chart.rows["live"])
    assert bad["next"].rows and bad["next"].rows[0][3].text == "1.00"
    price = next(one.value for one in good["figures"].figures if one.label == "Price")
    assert price.startswith("$") and f" and {price}." in good["figures"].subtitle
    assert len(good["ran"].rows) > 1
    assert {row[3].text for row in good["ran"].rows} <= {
        "inside", "at the smallest", "at the largest"
    }  # fmt: skip
    wrong = values(view, {"plan": {"first": 1e21, "last": 1e20}})
    assert [p.field for p in view.check(wrong) if p.level == "error"] == ["last"]


class Sweep:
    """A study as its files would tell it, and what it was asked."""

    name = "mine"

    def __init__(self):
        self.asked = []
        self.looks = 0

    @property
    def ended(self):
        """One more with each look at the curves, after the first two."""
        return min(max(self.looks - 1, 0), 2)

    def records(self):
        states = ["finished" if place < self.ended else "running" for place in range(2)]
        return [
            {"id": f"run{place}", "state": state, "settings": {"rate": rate, "seed": 0},
             "result": {"loss": 1.5} if state == "finished" else {}, "seconds": 2.0, "share": 0.5,
             "note": "", "error": "", "sessions": 1}
            for place, (state, rate) in enumerate(zip(states, (0.1, 0.2), strict=True))
        ]  # fmt: skip

    def curves(self):
        self.looks += 1
        rows = [{"run": f"run{k}", "rate": 0.1, "seed": 0, "step": s, "loss": 3.0 / (s + k + 1)}
                for k in range(2) for s in range(3)]  # fmt: skip
        return pd.DataFrame(rows)

    def table(self):
        return pd.DataFrame(self.records())

    def progress(self):
        from workbench.sweeps import Progress

        return Progress(finished=self.ended, running=2 - self.ended, driven=True, seconds_left=3.0)

    def pause(self):
        self.asked.append("pause")

    def go(self):
        self.asked.append("go")

    def stop(self):
        self.asked.append("stop")


def test_a_sweep_is_watched_until_it_ends_and_asked_to_pause(monkeypatch):
    monkeypatch.setattr(sweep_view, "LOOK", 0)
    study = Sweep()
    view = SweepView(study)
    assert view.predict(values(view)).contents["runs"].rows[0][0] == "rate 0.1"
    pictures = list(view.run(values(view, {"watch": {"wish": "pause"}}), silent))
    assert study.asked == ["pause"] and len(pictures) == 3
    names = {row["method"] for row in charts(pictures[-1])["curves"].rows["live"]}
    assert names == {"rate 0.1", "rate 0.2"}
    figures = {one.label: one.value for one in pictures[-1].contents["figures"].figures}
    assert figures["Finished"] == "2 of 2"
    assert pictures[-1].contents["runs"].rows[0][3].text == "1.5"
    with pytest.raises(ValueError, match="study 'none' is not in the store"):
        SweepView("none")


def test_the_code_of_a_study_names_its_store(tmp_path, monkeypatch):
    from workbench.sweeps import Study

    monkeypatch.setattr(sweep_view, "sweep", lambda study=None, settings=None: (study, settings))
    view = SweepView(Study("mine", tmp_path / "elsewhere"))
    space = {}
    exec(view.code(values(view, {"watch": {"wish": "pause"}})), space)
    study, settings = space["panel"]
    assert (study.name, study.store.folder) == ("mine", tmp_path / "elsewhere")
    assert settings == {"watch": {"wish": "pause"}}
    assert "Study" not in SweepView().code(values(SweepView()))
