"""Four kinds of result go one way: the same tables, charts and export; three through panels."""

import zipfile
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from tests.contract import training_methods as mine
from tests.diffusion.conftest import random_unet, tiny_pipeline
from workbench import compare
from workbench.figures import bars, export_figure, lines, pareto
from workbench.figures.axes import Axis
from workbench.figures.command import figure
from workbench.measure.roofline import Peaks
from workbench.panels import Panel
from workbench.panels.generic import CompareView
from workbench.runs import Store
from workbench.study import Comparison, Probe, Study
from workbench.study.tables import Column, Tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        jax.config.update("jax_disable_most_optimizations", True)  # many small programs
        yield
        jax.config.update("jax_disable_most_optimizations", False)


def sampling_methods():
    """(a) sampling plans on a tiny pipeline."""
    from workbench.diffusion.encoder_propagation import EncoderPropagation
    from workbench.diffusion.feature_inheritance import FeatureInheritance
    from workbench.diffusion.full_sampling import FullSampling

    keys = EncoderPropagation(key_steps="uniform", interval=3, largest_group=2)
    return [FullSampling(), keys, FeatureInheritance(interval=3)]


def sampling_study():
    from workbench.diffusion import fidelity

    pipeline = tiny_pipeline(random_unet(), steps=6, guidance=1.0)

    def psnr(outcome):
        return fidelity.psnr(outcome.outputs["image"], outcome.reference["image"])

    def error(outcome):
        return fidelity.latent_error(outcome.outputs["latents"], outcome.reference["latents"])

    probes = (
        Probe("psnr", psnr, "dB", "higher", 1.0),
        Probe("latent_error", error, level="series", axis="step"),
    )
    return Study("tiny pictures", pipeline, pipeline.inputs, tuple(range(3)), probes, batch=2)


def training_methods():
    """(b) training runs."""
    return [mine.SmallTraining(), mine.SmallTraining(width=4)]


def transform_methods():
    """(c) transforms after training."""
    rounded = [mine.SmallTraining().then(mine.RoundWeights(bits=b)) for b in (8, 2)]
    return [mine.SmallTraining(), *rounded]


CSV = """run,params,loss,seconds,seed,note
dense,1000,3.2,10.5,0,a
dense,1000,3.3,10.1,1,b
dense,1000,3.1,10.3,2,c
sparse,400,3.4,6.2,0,a
sparse,400,3.6,6.4,1,
sparse,400,3.5,6.0,2,c
"""


def foreign(folder):
    """(d) somebody else's CSV."""
    (folder / "runs.csv").write_text(CSV)
    return Tables.from_csv(
        folder / "runs.csv",
        method="run",
        seed="seed",
        quality={"loss": Column("nats", "measured", "lower", tolerance=0.1)},
        cost={"seconds": Column("s", "measured", "lower")},
    )


KINDS = {
    "sampling plan": (sampling_study, sampling_methods),
    "training run": (mine.study, training_methods),
    "transform after training": (mine.study, transform_methods),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A comparison of each kind, made once."""
    made = {
        kind: compare(methods(), study(), repeats=3, memory=Store(), peaks=TOY)
        for kind, (study, methods) in KINDS.items()
    }
    tables = foreign(tmp_path_factory.mktemp("foreign"))
    return {**made, "foreign CSV": Comparison(tables, "dense")}


TOY = Peaks("toy", {"float32": 1e12}, 1e11, "for this test")
"""Measuring this machine's own peaks is tested where they are measured."""

EVERY = [*KINDS, "foreign CSV"]


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_tables(kind, found, tmp_path):
    tables = found[kind].tables
    assert {"trial_id", "method", "seed"} <= set(tables.trials)
    known = {"trial_id", "method", "seed", "study", "subject", "code", "device", "date"}
    known |= {"peaks", "sensor"}
    for name in set(tables.trials) - known:
        assert name.split(".")[0] in ("knob", "quality", "cost"), name
    for name, meaning in tables.columns.items():
        assert name in tables.trials and meaning.basis in ("measured", "modelled")
    back = Tables.load(tables.save(tmp_path / "tables"))
    assert back.columns == dict(tables.columns)
    assert list(back.trials["trial_id"]) == list(tables.trials["trial_id"])
    for name in tables.columns:
        np.testing.assert_allclose(back.trials[name], tables.trials[name])
    joined = tables.join(back)
    assert sorted(joined.trials["trial_id"]) == sorted(tables.trials["trial_id"])


MEASURED = ("latency", "compile", "throughput", "compute_utilisation")


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_costs(kind, found):
    """Every method has each cost that could be measured, and no cost is without a meaning."""
    tables = found[kind].tables
    costs = [name for name in tables.trials if name.startswith("cost.")]
    ends = [end for meaning in tables.columns.values() for end in meaning.spread]
    assert set(costs) <= {*tables.columns, *ends}
    if kind == "foreign CSV":
        assert costs == ["cost.seconds"], "its own, and nothing invented"
        return
    for name in MEASURED:
        assert tables.columns[f"cost.{name}"].basis == "measured"
        assert (tables.trials[f"cost.{name}"] >= 0).all(), name
    for method in tables.methods:
        row = tables.rows(method).iloc[0]
        used = 2 * row["cost.macs"] * row["cost.throughput"] / TOY.flops("float32")
        assert row["cost.compute_utilisation"] == pytest.approx(used)
        assert row["peaks"] == TOY.label("float32") and row["sensor"]
    sized = (
        kind != "sampling plan"
    )  # plans leave the weights as they are, and their bytes uncounted
    for name in ("attainable", "efficiency", "compression"):
        assert (f"cost.{name}" in tables.columns) == sized
    if kind == "transform after training":
        rates = tables.trials.groupby("method", sort=False)["cost.compression"].first()
        quality = tables.trials.groupby("method", sort=False)["quality.accuracy"].mean()
        wanted = np.array([1, 4, 16]) * quality / quality.iloc[0]
        np.testing.assert_allclose(rates, wanted)


def charts(comparison):
    """One chart of each form, by nothing but column names and their meaning."""
    tables = comparison.tables
    quality = comparison.qualities[0]
    cost = next(n for n in ("cost.latency", "cost.seconds") if n in tables.columns)
    unit = tables.columns[cost].unit
    yield pareto(tables.trials, Axis(cost, f"Time [{unit}]"), quality)
    means = tables.trials.groupby("method", sort=False)[cost].mean().reset_index()
    yield bars(means, Axis(cost, unit=unit), title="Which takes how long?", subtitle=unit)
    curves = tables.series[tables.series["name"] != "cost.latency.again"]
    if len(curves):
        curves = curves[curves["name"] == curves["name"].iloc[0]]
        curves = curves.merge(tables.trials[["trial_id", "method", "seed"]], on="trial_id")
        yield lines(curves[curves["seed"] == 0], x="x", y="y", title="How does it run?")
    else:
        yield lines(tables.trials, x="seed", y=quality, title="How far apart are seeds?")


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_charts_and_export(kind, found, tmp_path, capsys):
    comparison = found[kind]
    for chart in charts(comparison):
        assert {row["method"] for row in chart.rows["live"]} == set(comparison.tables.methods)
        file = export_figure(
            chart, comparison.tables, {"kind": kind}, tmp_path / f"{chart.form}.zip"
        )
        assert figure(file, check=True) == 0, capsys.readouterr().out
        names = {name.rsplit("/")[-1] for name in zipfile.ZipFile(file).namelist()}
        assert {"figure.toml", "rows.csv", "trials.csv", "series.csv", "figure.svg"} <= names


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_summary(kind, found):
    comparison = found[kind]
    summary = comparison.summary()
    assert list(summary["method"].unique()) == comparison.tables.methods
    for method in comparison.others:
        verdict = comparison.verdict(method)
        assert verdict.sentence.startswith(method) and verdict.sentence.endswith(".")
    assert "<table" in comparison._repr_html_()


def test_a_training_run_learns_and_its_curve_falls(found):
    comparison = found["training run"]
    assert comparison.tables.methods == ["Small training", "Small training, width 4"]
    means = comparison.tables.trials.groupby("method")["quality.accuracy"].mean()
    assert means["Small training"] > 75 > means["Small training, width 4"] + 5
    curve = comparison.tables.curve("Small training", "loss")
    assert set(curve["seed"]) == {0, 1, 2}
    ends = curve.pivot(index="seed", columns="x", values="y")
    assert (ends.iloc[:, -1] < 0.6 * ends.iloc[:, 0]).all()


def test_a_transform_acts_on_each_seeds_own_weights(found):
    comparison = found["transform after training"]
    fine, coarse = comparison.others
    assert fine.startswith("Small training, then Round weights") and "bits 2" in coarse
    assert abs(comparison.difference(fine, "quality.accuracy").value) < 1
    assert comparison.difference(coarse, "quality.accuracy").below(-1)
    trials = comparison.tables.trials
    assert set(trials["knob.Round weights.bits"].dropna()) == {8, 2}
    assert trials.loc[trials["method"] == coarse, "quality.accuracy"].nunique() > 1


@pytest.mark.parametrize("kind", ["training run", "transform after training"])
def test_nothing_trains_twice(kind, found):
    study, methods = KINDS[kind]
    before = len(mine.BATCHES)
    again = compare(methods(), study(), repeats=3, memory=Store(), peaks=TOY)
    assert len(mine.BATCHES) == before
    for column in again.qualities:
        pd.testing.assert_series_equal(
            again.tables.trials[column], found[kind].tables.trials[column]
        )


def test_a_new_seed_trains_once(found):
    before = len(mine.BATCHES)
    compare([mine.SmallTraining()], mine.study(range(4)), repeats=0, memory=Store())
    assert len(mine.BATCHES) - before == mine.STEPS


def moved(kind):
    """A move of one knob, by the form's names."""
    return {
        "sampling plan": {"m1_0": {"interval": 2}},
        "training run": {"m1_0": {"width": 8}},
        "transform after training": {"m2_1": {"bits": 3}},
    }[kind]


def words(table):
    """What a table's cells say."""
    return [cell if isinstance(cell, str) else cell.text for row in table.rows for cell in row]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_panel(kind, found, tmp_path):
    study, methods = KINDS[kind]
    view = CompareView(methods(), study, memory=Store(), rounds=3, peaks=TOY)
    panel = Panel(view, quiet=0.01)
    sent = []
    panel.send = lambda message, buffers=None: sent.append((message, buffers))
    try:
        change = moved(kind)
        panel.load(change)
        panel.run()
        assert panel.wait(120)
        assert panel.status["kind"] == "done", panel.status
        ((group, fields),) = change.items()
        assert fields.items() <= panel.settings[group].items()
        view, contents = panel.view, panel.picture.contents
        assert set(contents) == {"tradeoff", "verdicts", "summary"}
        comparison = panel.picture.comparison
        shown = {row["method"] for row in contents["tradeoff"].rows["live"]}
        assert shown == set(comparison.tables.methods)
        for method in comparison.others:
            assert comparison.verdict(method).sentence in words(contents["verdicts"])
        assert [row[0].text for row in contents["summary"].rows] == list(
            comparison.summary()["method"]
        )
        assert panel.picture.device
        (name,), (value,) = fields.keys(), fields.values()
        assert f"{name}={value}" in view.code(panel.values)
        panel._on_export({"kind": "zip"})
        assert panel.wait(60)
        ((message, buffers),) = [one for one in sent if one[0]["type"] == "file"]
        (tmp_path / message["name"]).write_bytes(buffers[0])
        assert figure(tmp_path / message["name"], check=True) == 0
    finally:
        panel.close()


def test_the_code_of_a_panel_makes_the_same_table(found):
    view = CompareView(training_methods(), mine.study, rounds=0)
    panel = Panel(view)
    scope = {"study": mine.study()}
    try:
        exec(view.code(panel.values), scope)
    finally:
        panel.close()
    pd.testing.assert_series_equal(
        scope["comparison"].tables.trials["quality.accuracy"],
        found["training run"].tables.trials["quality.accuracy"],
    )


def test_a_panel_says_what_cannot_run():
    view = CompareView(sampling_methods(), sampling_study, rounds=0)
    panel = Panel(view, quiet=0.01)
    try:
        panel.load({"m2_0": {"branch": 9}})
        assert panel.status["kind"] == "invalid"
        (problem,) = panel.problems
        assert (problem["group"], problem["field"]) == ("m2_0", "branch")
        assert "Branch must be between 0 and 3" in problem["message"]
        panel.load({"m2_0": {"branch": 1}})
        assert panel.problems == []
    finally:
        panel.close()


def test_two_methods_that_became_the_same_are_refused():
    view = CompareView(training_methods(), mine.study, rounds=0)
    panel = Panel(view, quiet=60)
    try:
        panel.load({"m1_0": {"width": 32}})
        assert panel.status["kind"] == "invalid"
        assert "twice with the same settings" in panel.problems[0]["message"]
    finally:
        panel.close()


def test_without_times_the_panel_charts_modelled_arithmetic():
    view = CompareView(training_methods(), mine.study, memory=Store(), rounds=0)
    values = {group.id: view.forms[group.id][1].knobs for group in view.groups}
    *_, last = view.run(values, lambda *given, **more: None)
    assert "arithmetic is modelled" in last.contents["tradeoff"].subtitle
    assert any("not timed yet" in text for text in words(last.contents["verdicts"]))
    assert replace(last).basis == "measured"
