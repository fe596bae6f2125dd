"""What stands behind the scaling lab's figures: bills, parabolas, profiles, records, marks."""

import json
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from workbench.labs.scaling import profile_chart, served_models, tables, training_bill
from workbench.labs.scaling.bias_view import BiasView
from workbench.labs.scaling.decide_form import Machine, Placement
from workbench.labs.scaling.decide_view import DecideView
from workbench.labs.scaling.envelope_view import EnvelopeView
from workbench.labs.scaling.fit_view import FitView
from workbench.labs.scaling.precision_view import PrecisionView
from workbench.labs.scaling.spending import Way
from workbench.labs.scaling.test_time_view import AnswersView
from workbench.panels.picture import ChartContent, EmptyContent
from workbench.panels.settings import accepted, start
from workbench.progress import silent
from workbench.scaling import PRESETS, Fit
from workbench.scaling.settings import Settings


@pytest.fixture(autouse=True)
def simulated_alone(monkeypatch, workbench_home):
    """As without a shipped sweep, with an empty store."""
    monkeypatch.setattr(tables, "shipped_sweep", lambda: None)


def values(view, given=None):
    return accepted(view, start(view, given or view.presets[0].values))


def figures(picture):
    return {one.label: one for one in picture.contents["figures"].figures}


def repeated_fit():
    """Runs of the published law of repeated data, and that law as their fit."""
    preset = PRESETS["muennighoff"]
    runs = tables.simulated().runs
    runs = runs[runs["method"] == "reference"].assign(unique_tokens=lambda t: t["n_tokens"] / 3)
    return Fit(preset.law, Settings(), dict(preset.params), 0.01, runs.drop(columns="method"))


def test_the_bill_says_how_many_devices_hold_a_run():
    way = Way("Least loss", 7e9, 1.4e11, 2.0, 6 * 7e9 * 1.4e11, 0.0)
    one = training_bill.bills(way, Machine(device="h100", devices=1), Placement())
    assert not one.here.fits and one.least.fits and one.least.devices > 1
    assert one.warning.startswith("Does not fit: 1 × NVIDIA H100 SXM would hold")
    assert one.warning.endswith(f"; {one.least.devices} would do")
    many = training_bill.bills(way, Machine(device="h100", devices=64), Placement())
    assert many.here.fits and not many.warning
    assert many.here.cost.price == pytest.approx(2.5 * 24 * 64 * many.here.cost.days)
    split = training_bill.bills(way, Machine(devices=64), Placement(zero="0"))
    assert split.least is None and "no number of them would" in split.warning
    shared = Placement(zero="0", tensor=8, stages=2)
    large = training_bill.bills(way, Machine(devices=64), shared)
    assert large.here.fits and large.least.devices == 16
    assert "2 pipeline stages of 8 devices · logits" in training_bill.table(large).subtitle
    few = training_bill.bills(way, Machine(devices=8), shared)
    assert few.here is None and few.warning == "2 stages of 8 devices each need 16 devices"


@pytest.mark.slow
def test_the_bill_names_devices_memory_days_and_warns_where_it_does_not_fit():
    view = DecideView()
    small = values(view, {"machine": {"device": "rtx3090", "devices": 1}})
    assert [p.field for p in view.check(small) if p.level == "warn"] == ["devices"]
    picture = view.predict(small)
    said = picture.contents["figures"].subtitle
    assert "Does not fit: 1 × NVIDIA GeForce RTX 3090 would hold" in said
    needed = int(figures(picture)["Devices needed"].value)
    assert needed > 1 and f"; {needed} would do." in said
    rows = {row[0].text: row[1:] for row in picture.contents["bill"].rows}
    assert [cell.text for cell in rows["Devices"]] == ["1", str(needed)]
    assert [cell.note for cell in rows["Together"]] == ["does not fit", "fits"]
    enough = values(view, {"machine": {"device": "rtx3090", "devices": needed}})
    assert not view.check(enough)
    bill = view.predict(enough).contents["bill"]
    assert len(bill.columns) == 2 and "guessed: 12 l h² = N" in bill.subtitle
    again = values(
        view, {"machine": {"device": "rtx3090", "devices": needed},
               "placement": {"recompute": True}},
    )  # fmt: skip
    kept, fewer = (
        {row[0].text: row[1].text for row in view.predict(v).contents["bill"].rows}
        for v in (enough, again)
    )
    assert kept["Activations"] != fewer["Activations"] and kept["Time"] != fewer["Time"]
    never = values(view, {"machine": {"device": "rtx3090"}, "placement": {"zero": "0"}})
    assert "no number of them would" in view.check(never)[0].message
    pipeline = values(view, {"machine": {"devices": 2}, "placement": {"stages": 8}})
    assert "8 stages needs as many devices" in view.check(pipeline)[0].message


@pytest.mark.slow
def test_parabolas_of_each_budget_stand_beside_the_law_with_their_exponents():
    view = FitView()
    picture = view.predict(values(view))
    chart = picture.contents["parabolas"].chart
    best = [row for row in chart.rows["live"] if row["part"] == "best"]
    assert len(best) == len(tables.BUDGETS)
    assert "a = 0.5" in chart.subtitle and " – " in chart.subtitle
    by_two = next(
        row for row in picture.contents["exponents"].chart.rows["live"]
        if row["group"] == "Here, approach 2"
    )  # fmt: skip
    assert by_two["low"] < by_two["value"] < by_two["high"]
    assert len(view.tables(values(view), picture)["parabolas"]) == len(tables.BUDGETS)


def test_a_table_without_budgets_has_no_parabolas_and_says_why():
    from workbench.labs.scaling.parabola_charts import parabolas

    found = parabolas(tables.simulated().runs.iloc[:5])
    assert isinstance(found, EmptyContent) and "a line needs two" in found.text


@pytest.mark.slow
@pytest.mark.long
def test_repeated_data_is_divided_for_the_unique_tokens_there_are():
    view = DecideView(fit=repeated_fit())
    plenty, few = (
        figures(view.predict(values(view, {"decision": {"compute": 1e21, "unique": unique}})))
        for unique in (1e15, 3e8)
    )
    assert plenty["Best size, N"].value != few["Best size, N"].value
    assert float(few["Loss"].value) > float(plenty["Loss"].value)
    said = view.predict(values(view, {"decision": {"unique": 3e8}})).contents["figures"].subtitle
    assert "There are 300 M unique tokens." in said
    assert view.records(values(view, {"decision": {"unique": 3e8}}))["fit"]["given"] == {
        "unique_tokens": 3e8
    }


def test_a_profile_that_is_flat_says_so():
    fit = repeated_fit()
    held = np.geomspace(1, 1e4, 9)
    table = pd.DataFrame({"value": held, "objective": 1 + 0.2 * (held < 8) + 1e-4 * (held > 100)})
    chart = profile_chart.chart(table, fit)
    assert "within 1 %: 10 – 10 000 (to the end of what was tried)" in chart.subtitle.replace(
        "\u2009", " "
    )
    assert {row["text"] for row in chart.rows["upright"]} >= {"Muennighoff 15.4"}


@pytest.mark.slow
@pytest.mark.long
def test_the_profile_follows_a_fit_of_repeated_data():
    runs = repeated_fit().runs
    view = FitView(runs.assign(unique_tokens=runs["n_tokens"] / np.where(runs.index % 2, 1, 9)))
    chosen = values(view, {"fit": {"law": "data-constrained", "resamples": 0}})
    *_, before, last = view.run(chosen, silent)
    assert isinstance(before.contents["exponents"], EmptyContent)
    assert last.contents["exponents"].chart.title == profile_chart.ASKED
    assert isinstance(last.contents["contours"], ChartContent)
    assert "unique tokens, the most any of these runs had" in last.contents["said"].subtitle
    assert set(view.tables(chosen, last)["profile"].columns) == {"value", "objective", "over"}


@pytest.mark.parametrize(
    ("kind", "slots", "inside"),
    [
        (PrecisionView, ("memory", "kept", "share"), {"kind": "published laws"}),
        (AnswersView, ("lengths",), {"source": "Kinetics, arXiv 2506.05333"}),
        (BiasView, ("error",), {"target": 1e24}),
        (EnvelopeView, ("growth",), {"smoothing": 0.9}),
    ],
)
def test_a_record_stands_behind_every_figure(kind, slots, inside):
    view = kind()
    chosen = values(view)
    assert {f"zip {slot}" for slot in slots} | {"zip", "json"} <= {e.kind for e in view.exports}
    told = json.loads(view.export("json", chosen, view.predict(chosen))[1])
    assert inside.items() <= told.items()
    assert told == json.loads(json.dumps(view.records(chosen)["fit"]))


@pytest.mark.slow
def test_the_record_is_in_the_export_of_a_further_chart():
    view = PrecisionView()
    chosen = values(view)
    archive = zipfile.ZipFile(BytesIO(view.export("zip kept", chosen, view.predict(chosen))[1]))
    (file,) = [name for name in archive.namelist() if name.endswith("fit.json")]
    laws = json.loads(archive.read(file))["laws"]
    assert not laws["qat-fraction"]["confirmed"] and "offset" in laws["kumar-ptq"]["remark"]


def test_the_page_of_bits_says_what_quantising_after_training_loses():
    view = PrecisionView()
    four, three = (
        figures(view.predict(values(view, {"qat": {"bits": bits}})))["Lost by PTQ\u00a0†"]
        for bits in (4, 3)
    )
    assert float(three.value) > 5 * float(four.value) > 0
    assert four.unit == "nats" and four.interval == "to 4 bits, after training"


def test_three_attentions_have_their_frontiers_which_the_sliders_move():
    view = AnswersView()

    def costs(**settings):
        rows = view.predict(values(view, {"answers": settings})).contents["pareto"].chart
        return {row["key"]: (row["cost"], row["quality"]) for row in rows.rows["live"]}

    first = costs()
    assert len(first) == 3 * 3 * 6
    fewer, shorter, smaller = costs(budget=256), costs(output=2048), costs(state=64)
    changed = {
        name: {key.split()[1] for key in first if moved[key] != first[key]}
        for name, moved in (("keys", fewer), ("length", shorter), ("state", smaller))
    }
    assert changed == {
        "keys": {"sparse"}, "length": {"dense", "sparse", "state"}, "state": {"state"},
    }  # fmt: skip
    assert shorter["8B dense 32"][1] < first["8B dense 32"][1]
    assert first["32B state 4"][0] < first["32B sparse 4"][0] < first["32B dense 4"][0]


def test_any_model_is_priced_by_its_shape():
    shape = {"n_params": 8.19e9, "layers": 36, "kv_heads": 8, "head_dim": 128, "heads": 32}
    trials = pd.DataFrame(
        {"model": "mine", "question": [0, 1], "correct": [1, 4], "trials": 4, "tokens": 100.0,
         "attention": "dense"}
    )  # fmt: skip
    view = AnswersView(trials, {"mine": shape})
    picture = view.predict(values(view))
    assert {row["method"] for row in picture.contents["pareto"].chart.rows["live"]} == {"Dense"}
    rows = {row[0].text: [cell.text for cell in row[1:5]] for row in picture.contents["parts"].rows}
    assert rows["mine"] == rows["8B"] and rows["mine, sparse"] == rows["8B, sparse"]
    own = values(view, {"own": {"shown": True, "size": 8.19e9, "layers": 36, "heads": 32}})
    rows = {row[0].text: row[4].text for row in view.predict(own).contents["parts"].rows}
    assert rows["Yours"] == rows["8B"]
    wrong = values(view, {"own": {"shown": True, "heads": 4, "kv_heads": 8}})
    assert [p.field for p in view.check(wrong)] == ["heads"]
    with pytest.raises(ValueError, match="model 'mine' lacks layers"):
        served_models.served({"mine": {"n_params": 1e9, "kv_heads": 8, "head_dim": 128}})
    with pytest.raises(ValueError, match="attention full: not one of"):
        served_models.checked(trials.assign(attention="full"), view.models)


def test_what_is_not_confirmed_is_marked_wherever_it_stands():
    view = FitView()
    picture = view.predict(values(view))
    names = {row["group"] for row in picture.contents["exponents"].chart.rows["live"]}
    assert {"Hoffmann, approach 1\u00a0†", "Hoffmann, approach 3", "xLSTM\u00a0†"} <= names
    assert "†: unconfirmed" in picture.contents["exponents"].subtitle
    assert [row.paper for row in picture.claim.rows] == ["0.49\u00a0†", "0.454"]
    assert "†: unconfirmed" in picture.claim.details
    kaplan = replace(view.known(values(view))[0], fit=Fit(
        PRESETS["kaplan"].law, Settings(), dict(PRESETS["kaplan"].params), 0.0,
        tables.simulated().runs))  # fmt: skip
    from workbench.labs.scaling.fit_tables import parameters

    table = parameters(kaplan)
    assert table.columns[-1].label == "Kaplan\u00a0†" and "†: unconfirmed" in table.subtitle
    assert [row[1].text for row in table.rows] == [row[-1] for row in table.rows]
    bits = PrecisionView()
    assert "2509.22935\u00a0†" in bits.study_line
    assert "†" in bits.predict(values(bits)).contents["share"].subtitle


def laws(view):
    """Keys of the laws that the form offers."""
    return view.groups[-1].knobs.model_fields["law"].annotation.__args__


@pytest.mark.slow
def test_laws_of_other_columns_are_offered_where_the_table_has_them():
    assert "downstream-error" not in laws(FitView())
    runs = tables.simulated().runs
    view = FitView(runs.assign(error=0.9 - 1.5 * np.exp(-0.7 * runs["loss"])))
    assert "downstream-error" in laws(view) and "qat-loss" not in laws(view)
    chosen = values(view, {"fit": {"law": "downstream-error", "resamples": 0}})
    *_, picture = view.run(chosen, silent)
    assert view.fit_of(chosen).params["gamma"] == pytest.approx(0.7, rel=1e-3)
    chart = picture.contents["contours"].chart
    assert {row["part"] for row in chart.rows["live"]} == {"line", "run"}
    assert "The test is of losses" in picture.contents["test"].text
