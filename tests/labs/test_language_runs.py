"""The language lab at work: small models that write, are read, trained, paused and branched."""

import json
import re
import shutil
from dataclasses import asdict
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx

from workbench import training
from workbench.labs.language import decode_form, gates_form, recorded, shelf
from workbench.labs.language.cost_view import CostView
from workbench.labs.language.decode_run import Written, decode
from workbench.labs.language.decode_view import DecodeView
from workbench.labs.language.gate_memory import Gates, Head, LayerGates
from workbench.labs.language.gates_view import GatesView
from workbench.labs.language.own_mixer_view import OwnMixerView
from workbench.labs.language.recall_view import RecallView
from workbench.labs.language.ternary_memory import training_memory
from workbench.labs.language.ternary_view import TernaryView
from workbench.labs.language.train_live import watch
from workbench.labs.language.train_runs import planned
from workbench.labs.language.train_view import TrainView
from workbench.language import Bytes, Decoder, DecoderConfig, checking, mixer, save
from workbench.language.checking import Check, Report
from workbench.language.studies import beside
from workbench.language.studies.running import Found
from workbench.panels.picture import ChartContent, EmptyContent
from workbench.panels.settings import accepted, start
from workbench.progress import Cancelled, silent
from workbench.runs import Store

pytestmark = [pytest.mark.slow, pytest.mark.long]

SHARES = {"accuracy_2": 0.75, "accuracy_4": 0.5, "accuracy_8": 0.25}


def values(view, given=None):
    return accepted(view, start(view, given or {}))


def last(view, given=None):
    chosen = values(view, given)
    *_, picture = view.run(chosen, silent)
    return chosen, picture


def write(folder, name, **fields):
    shape = {"vocab_size": 256, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
    config = DecoderConfig(**shape, **fields)
    save(Decoder(config, rngs=nnx.Rngs(params=0)), folder / name, Bytes())
    return str(folder / name)


@pytest.fixture
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def gla(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return write(folder, "small-gla", mixers=({"kind": "gla", "num_heads": 2},))


@pytest.fixture(scope="module")
def matmulfree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return write(
        folder, "small-ternary", mixers=({"kind": "mlgru"},), linears="ternary",
        tie_word_embeddings=False,
    )  # fmt: skip


def test_a_model_writes_and_its_text_grows(gla):
    view = DecodeView([gla])
    chosen = values(view, {"text": {"tokens": 40, "temperature": 0.0}})
    assert view.predict(chosen).contents["memory"].chart is not None
    pictures = list(view.run(chosen, silent))
    texts = [picture.contents["texts"].texts[0] for picture in pictures]
    assert len(texts) > 1
    assert texts[0].writing and not texts[-1].writing
    assert texts[-1].note.startswith("40 tokens") and "tokens a second" in texts[-1].note
    name, data = view.export("txt", chosen, pictures[-1])
    assert name == "decode.txt" and data.decode().startswith("small-gla\n\nThe function")
    assert pictures[-1].contents["rates"].chart.rows["live"]


def test_a_state_measured_is_the_state_that_is_written_with(tmp_path):
    folder = write(tmp_path, "cached", mixers=({"kind": "attention", "num_heads": 2},))
    view = DecodeView([folder])
    knobs = decode_form.Writing(prompt="abcd", tokens=3)
    *_, (one,) = decode(view.shelf, ["cached"], knobs, silent)
    assert (one.prompt, one.room, len(one.seconds)) == (4, 7, 3)
    assert one.state == view.shelf.books["cached"].state_bytes(7)


def test_a_prompt_without_tokens_and_a_model_without_tokenizer_are_named(gla, tmp_path):
    with pytest.raises(ValueError, match="prompt: there is no token"):
        last(DecodeView([gla]), {"text": {"prompt": ""}})
    mute = shutil.copytree(gla, tmp_path / "mute")
    for file in mute.glob("token*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"mute has no tokenizer\.json"):
        last(DecodeView([mute]))


def test_gates_are_read_and_a_click_looks_at_a_layer(gla, matmulfree):
    view = GatesView([gla])
    chosen, picture = last(view, {"gates": {"text": "one, two, three, four, five"}})
    heads = picture.contents["heads"].chart.rows["live"]
    assert len(heads) == 4 and all(5 < row["value"] < 100 for row in heads)
    assert view.load("2") == {"gates": {"layer": 2}}
    assert view.check(values(view, {"gates": {"layer": 3}}))[0].message.startswith("Layer must be")
    assert view.predict(chosen).contents["tokens"].title.endswith("layer 1 forget?")
    assert len(view.tables(chosen, picture)["channels"]) == 4 * 8
    bounds = last(GatesView([matmulfree]))[1].contents["bounds"].chart.rows["live"]
    assert [row["value"] for row in bounds] == pytest.approx([0.0, 0.5])


def test_ternary_weights_are_looked_at_without_a_compilation(matmulfree, gla, quickly_compiled):
    view = TernaryView([matmulfree])
    picture = next(view.run(values(view), silent))
    rows = picture.contents["errors"].chart.rows["live"]
    assert {row["group"] for row in rows} == {"layer 1", "layer 2", "head"}
    assert all(30 < row["value"] < 60 for row in rows)
    shares = [row["value"] for row in picture.contents["histogram"].chart.rows["live"]]
    assert sum(shares) == pytest.approx(100)
    with pytest.raises(ValueError, match="None of these models has ternary weights"):
        TernaryView([gla])


def test_training_memory_is_that_of_the_compiled_programs(quickly_compiled):
    found = training_memory(32, 1, 2, 64, silent)
    weights = 2 * 32000 * 32 * 4
    for plan in (found.fused, found.plain):
        assert weights + 2 * 2 * 64 * 4 < plan.arguments < 1.05 * weights
        assert weights < plan.outputs < 1.05 * weights
    assert found.fused.temporaries != found.plain.temporaries


SMALL = {
    "shared": {"size": "10k", "steps": 12, "context": 32, "batch": 4},
    "runs": {"attention": False, "gla": False, "mlgru": True},
}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "words.txt"
    draw = np.random.default_rng(0)
    names = ["alpha", "beta", "gamma", "delta", "epsilon"]
    file.write_text(" ".join(draw.choice(names, 4000)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def test_a_run_goes_on_where_it_was_stopped_and_a_branch_from_its_end(words, store):
    view = TrainView(text=words, store=store)
    chosen = values(view, SMALL)
    (plan,) = planned(chosen, view.text, store, {})

    def stops(done, total, note="", preview=None):
        if done >= 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        for _ in watch([plan], store, stops):
            pass
    assert plan.run.status.state in ("stopped", "finished") and plan.run.status.step >= 1
    *_, curves = view.curves(chosen, silent)
    assert [(one.name, one.state, one.step) for one in curves] == [("MLGRU", "done", 12)]
    assert [row["step"] for row in curves[0].rows] == list(range(1, 13))
    picture = view._picture(chosen, curves, 1000, "measured")
    assert all(isinstance(picture.contents[slot], ChartContent) for slot in ("learning", "flops"))
    assert picture.contents["runs"].rows[0][2].text == "12 of 12"
    given = {**SMALL, "branch": {"of": "mlgru", "steps": 4, "rate": 0.5}}
    *_, curves = view.curves(values(view, given), silent)
    parent, branch = curves
    assert (branch.name, branch.offset, branch.parent) == ("MLGRU, from 12", 12, "MLGRU")
    assert branch.learning()[0][0] == 13
    assert branch.rows[0]["loss"] == pytest.approx(parent.rows[-1]["loss"], abs=0.4)
    assert view.load("gla") == {"branch": {"of": "gla"}}
    given["branch"] = {"of": "gla"}
    with pytest.raises(ValueError, match="Go on from GLA: it has no checkpoint yet"):
        next(view.curves(values(view, given), silent))


@pytest.mark.usefixtures("quickly_compiled")
def test_a_loss_that_is_no_number_stops_its_run_and_is_told_ever_after(words, store):
    given = {
        "shared": {**SMALL["shared"], "steps": 40, "rate": 90.0},
        "runs": {"attention": False, "gla": True, "mlgru": False},
    }
    view = TrainView(text=words, store=store)
    *_, picture = view.run(values(view, given), silent)
    (row,) = picture.contents["runs"].rows
    told = re.fullmatch(r"\w+ is not a number at step (\d+)\. Last good.*: step (\d+)", row[1].note)
    assert row[1].text == "Stopped" and 0 < int(told[2]) < int(told[1]) <= 40
    assert picture.details == (f"GLA: {row[1].note}",)
    again = TrainView(text=words, store=store)
    (plan,) = planned(values(again, given), again.text, store, {})
    curve = again._curve(plan, None, {})  # as the parent of a branch is shown
    assert (curve.state, curve.words) == ("stopped", row[1].note)
    (row,) = again._picture(values(again, given), [curve], 1000, "measured").contents["runs"].rows
    assert (row[1].text, row[1].note) == ("Stopped", curve.words)


@mixer
class Decay:
    def init(self, key, width):
        return {"w": jax.random.normal(key, (width, width)) * width**-0.5}

    def step(self, params, state, x):
        state = 0.9 * state + x
        return state, state @ params["w"]


def test_a_mixer_of_ones_own_has_its_checks(monkeypatch):
    found = Report("Decay", 32, (Check("causality", "pass", "0"), Check("state", "measured")))
    monkeypatch.setattr(checking, "check", lambda *given, **more: found)
    view = OwnMixerView(Decay)
    promised = view.predict(values(view)).contents["checks"].text
    assert promised.startswith(f"{len(checking.NAMES)} checks: causality, step = parallel, ")
    picture = last(view, {"checks": {"compared": False, "width": "32"}})[1]
    rows = picture.contents["checks"].rows
    assert [row[1].verdict for row in rows] == ["reproduced", None]
    assert "every check passes" in picture.details[0]
    assert "language.own_mixer(Decay," in view.code(values(view))


def test_a_mixer_of_ones_own_stands_beside_the_shipped_rivals(monkeypatch):
    """Time, recall and text of one's own are another's; the rivals' rows are those that ship."""
    monkeypatch.setattr(checking, "check", lambda *_, **__: Report("Decay", 64, ()))
    monkeypatch.setattr(
        beside, "cost",
        lambda config, name, *_, **__: [
            {"name": name, "length": n, "macs": 1.0, "state": 4, "seconds": 0.1} for n in (8, 16)
        ],
    )  # fmt: skip

    def results(design, *_):
        (entry,) = design.entries
        about = {"kind": "own", "name": entry.name, "size": entry.size}
        rows = [
            {**about, "seed": seed, "pairs": pairs, "accuracy": 0.5, "width": 64, "state": 9.0,
             "seconds": 1.0, "bits_per_byte": 1.0 + 0.01 * seed}
            for seed in design.seeds for pairs in ((2, 8) if design.name == "recall" else (0,))
        ]  # fmt: skip
        yield Found(runs=rows[:1])
        yield Found(runs=rows)

    monkeypatch.setattr(beside, "results", results)
    view = OwnMixerView(Decay)
    _, early, *_, final = view.run(values(view, {"checks": {"minutes": 1}}), silent)
    first, contents = early.contents, final.contents
    names = [row["text"] for row in first["learning"].chart.rows["names"]]
    assert "Decay" not in names and "RetNet" in names
    assert isinstance(first["order"], EmptyContent) and isinstance(first["times"], EmptyContent)
    assert contents["learning"].chart.rows["names"][0]["text"] == "Decay"
    rows = contents["order"].rows
    assert len(rows) == 8 and {row[3].text for row in rows} == {"better"}
    assert all(row[2].text.startswith("−") for row in rows)
    drawn = {row["method"] for row in contents["recall"].chart.source}
    assert drawn == {"Decay", "Transformer++", "DeltaNet", "Gated DeltaNet", "GLA", "RetNet"}
    assert len(contents["times"].chart.source) == 2


def test_every_mixer_chosen_is_asked_to_recall(monkeypatch, tmp_path):
    """The models themselves, made without weights; the training is another's."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    asked = []

    def trained(task, recipe, **more):
        asked.append((task.config.mixers[0].kind, task.graph is not None, recipe.steps))
        return SimpleNamespace(evaluation=dict(SHARES), seconds=2.0)

    monkeypatch.setattr(training, "train", trained)
    view = RecallView()
    every = dict.fromkeys(type(values(view)["mixers"]).model_fields, True)
    picture = last(view, {"task": {"steps": 10, "width": "32"}, "mixers": every})[1]
    assert [kind for kind, made, steps in asked if made and steps == 10] == list(every)
    rows = picture.contents["table"].rows
    assert {(row[1], row[3].text) for row in rows} == {("2", "75 %"), ("4", "50 %"), ("8", "25 %")}
    assert len(rows) == 3 * len(every) and len(asked) == len(every)
    drawn = picture.contents["accuracy"].chart.rows["live"]
    assert {(row["x"], row["y"]) for row in drawn} == {(2, 75.0), (4, 50.0), (8, 25.0)}


def test_a_layer_is_timed_where_its_context_grows():
    view = CostView()
    off = {name: name == "gla" for name in type(values(view)["mixers"]).model_fields}
    given = {"layer": {"width": 64, "longest": 256, "cache": "4"}, "mixers": off}
    chosen, picture = last(view, given)
    assert {row["context"] for row in view.tables(chosen, picture)["timed"]} == {256}
    made = [r for r in picture.contents["state"].chart.rows["live"] if not r["predicted"]]
    by_formula = {
        (r["method"], r["across"]): r["value"]
        for r in picture.contents["state"].chart.rows["live"] if r["predicted"]
    }  # fmt: skip
    for row in made:
        assert row["value"] == pytest.approx(by_formula[row["method"], row["across"]], rel=0.01)


def test_what_was_recorded_is_shown_first(gla, monkeypatch):
    monkeypatch.setattr(shelf, "shipped_books", lambda: [shelf.book(gla)])
    view = DecodeView()
    chosen = values(view)
    knobs = decode_form.writing(chosen).model_dump(mode="json")
    written = [asdict(Written("small-gla", "a text", [1, 2], [0.1, 0.1], 8, 8, 3))]
    head = Head(3.0, 1.0, 9.0, [1.0, 9.0], [0.9, 0.8])
    record = Gates(["a", "b"], [LayerGates(0, [head])]).record()
    about = {"date": "1 May", "device": "CPU"}
    files = {
        "texts.json": {**about, "texts": [{"settings": knobs, "written": written}]},
        "gates.json": {**about, "text": gates_form.PROSE, "models": {"small-gla": record}},
    }
    monkeypatch.setattr(recorded, "read", json.loads(json.dumps(files)).get)
    picture = view.predict(chosen)
    assert (picture.basis, picture.when) == ("recorded", "1 May")
    assert picture.contents["texts"].texts[0].text == "a text"
    view = GatesView()
    assert view.predict(values(view)).contents["heads"].chart.rows["live"][0]["value"] == 3.0


def test_the_shipped_recall_study_is_the_first_picture(monkeypatch, tmp_path):
    names = ("RetNet", "GLA", "DeltaNet", "Transformer++")
    rows = [
        {"kind": "any", "name": name, "size": "width 64", "seed": seed, "pairs": pairs,
         "accuracy": 0.1 + 0.2 * place - 0.005 * pairs + 0.001 * seed, "state": 4096 * (1 + place),
         "seconds": 3.0}
        for place, name in enumerate(names) for seed in range(3) for pairs in (4, 16)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "runs.csv", index=False)
    card = {"device": "CPU", "date": "1 May", "finished": True}
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    monkeypatch.setattr(recorded.shipped, "path", lambda relative: tmp_path)
    recorded.study.cache_clear()
    view = RecallView()
    picture = view.predict(values(view))
    assert (picture.basis, picture.when, picture.device) == ("recorded", "1 May", "CPU")
    assert picture.claim.verdict == "reproduced" and "pairs 16" in picture.claim.setting
    ends = {r["method"]: r["value"] for r in picture.contents["accuracy"].chart.rows["live"]}
    assert sorted(ends, key=ends.get) == list(names)
    (tmp_path / "runs.csv").write_text("\n", encoding="utf-8")
    recorded.study.cache_clear()
    assert view.predict(values(view)).basis == "predicted"
    recorded.study.cache_clear()
