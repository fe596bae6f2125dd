"""Studies in the lab: their models are opened with text, their margin and divergence are heeded."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np

from tests.language.texts import dataset
from workbench import training
from workbench.figures import numbers
from workbench.labs.language import claims, recall_run, recall_view, shelf
from workbench.language import DecoderConfig
from workbench.language.studies import command, gates, recall
from workbench.language.studies.design import Entry
from workbench.language.studies.running import Found
from workbench.language.tasks import NextToken
from workbench.language.token_data import TokenData
from workbench.progress import silent
from workbench.runs import Store


def rows_of(**shares):
    return [
        {"name": name, "kind": name, "size": "width 64", "pairs": 16, "seed": seed,
         "accuracy": share + 0.0001 * seed}
        for name, share in shares.items() for seed in range(3)
    ]  # fmt: skip


ABOUT = {"device": "CPU", "date": "1 May", "finished": True}


def test_a_claim_calls_a_difference_below_the_studys_margin_none():
    shares = {"RetNet": 0.20, "GLA": 0.205, "DeltaNet": 0.5, "Transformer++": 0.9}
    rows = rows_of(**shares)
    assert claims.recall((rows, ABOUT)).rows[1].verdict == "reproduced"
    card = claims.recall((rows, {**ABOUT, "margin": 0.01}))
    assert [row.verdict for row in card.rows[1:]] == ["open", "reproduced", "reproduced"]


def test_a_claim_says_how_long_was_trained_and_whose_rate_lies_at_an_end():
    rows = rows_of(**{"RetNet": 0.2, "GLA": 0.3, "DeltaNet": 0.5, "Transformer++": 0.9})
    about = {**ABOUT, "length": 32, "steps": 7, "batch_size": 128}
    card = claims.recall((rows, {**about, "at_an_end": ["GLA width 64: 0.01"]}))
    assert "T 32, 7 updates of 128 texts" in card.setting
    assert card.details.endswith("GLA width 64: 0.01.")
    assert claims.recall((rows, {**about, "at_an_end": []})).details == claims.RULE


def test_a_claim_ranks_no_family_that_diverged():
    rows = rows_of(**{"RetNet": 0.2, "GLA": 0.3, "DeltaNet": 0.5, "Transformer++": 0.9})
    gone = {"kind": "GLA", "name": "GLA", "size": "width 64", "seed": 3, "step": 7}
    card = claims.recall((rows, {**ABOUT, "diverged": [gone]}))
    assert [row.here for row in card.rows][1] == "diverged"
    assert [row.verdict for row in card.rows[1:]] == ["open", "open", "reproduced"]
    every = [{**gone, "kind": name, "name": name} for name in claims.RECALL]
    card = claims.recall((rows, {**ABOUT, "diverged": every}))
    assert card.verdict == "open" and card.reason.startswith("Training diverged")


def test_what_a_study_keeps_is_opened_with_text_and_says_what_it_is(tmp_path):
    config = DecoderConfig(
        vocab_size=256, hidden_size=16, num_hidden_layers=1, intermediate_size=16,
        mixers=({"kind": "retnet", "num_heads": 1},),
    )  # fmt: skip
    design = replace(
        gates.text_study("gates", (Entry("retnet", "RetNet", "30k", config),)),
        task=lambda config: NextToken(config, TokenData(dataset(), length=8)),
    )
    run = {"kind": "retnet", "size": "30k", "seed": 0, "parameters": 9000, "steps": 1000,
           "learning_rate": 0.003, "seconds": 12.34, "device": "CPU", "date": "2026-05-01",
           "bits_per_byte": 2.5}  # fmt: skip
    shapes = jax.eval_shape(design.task(config).init, jax.random.key(0))
    weights = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    found = Found(runs=[run, {**run, "seed": 1}], weights={("retnet", "30k"): weights})
    command.keep_models(design, found, tmp_path, "python -m here")

    (book,) = shelf.books([tmp_path / "retnet-30k"])
    model, tokenizer = shelf.Shelf([book]).model(book.name)
    assert tokenizer.decode(tokenizer.encode("a text")) == "a text"
    assert model.config.hidden_size == 16
    card = (tmp_path / "retnet-30k" / "card.md").read_text(encoding="utf-8")
    for words in (
        "# RetNet, 30k",
        "- Data: the standard library's English as bytes; a tenth of its files held out",
        "- Command: `python -m here`",
        "learning rate 0.003; seed 0",
        "- 12.3 s on CPU, 2026-05-01",
        "- bits_per_byte on what is held out: 2.5",
    ):
        assert words in card


def test_recall_is_measured_on_the_texts_of_the_shipped_study(monkeypatch, tmp_path):
    asked = []

    def trained(task, recipe, **more):
        asked.append((task, recipe))
        return SimpleNamespace(evaluation={"accuracy_2": 0.75, "accuracy_8": 0.25}, seconds=2.0)

    monkeypatch.setattr(training, "train", trained)
    mixers = recall_run.known_mixers(["gla"], 64)
    *_, found = recall_run.recall(
        mixers, recall_view.PAIRS["2-8"], (0,), width=64, steps=10, rate=3e-3,
        store=Store(tmp_path), report=silent,
    )  # fmt: skip
    assert [(one.pairs, one.accuracy) for one in found[::2]] == [(2, 0.75), (8, 0.25)]
    ((task, recipe),) = asked
    design = recall.design()
    theirs = design.task(design.entries[0].config)
    assert task.data == theirs.data and task.data.vocab_size == task.config.vocab_size
    assert recipe.batch_size == design.batch_size == recall_run.BATCH
    assert recipe.weight_decay == design.recipe(design.entries[0], 3e-3, 0, 10).weight_decay
    assert recall_run.LENGTH == design.length == task.data.length
    assert design.entries[0].config.num_hidden_layers == recall_run.LAYERS


def test_training_is_the_fastest_seeds():
    found = [
        recall_run.Recalled("GLA", 8, 64, 8192.0, seed, 0.5, seconds)
        for seed, seconds in enumerate((200.0, 50.0, 60.0))
    ]
    ((*_, seeds, training_time),) = recall_view.table(found).rows
    assert (seeds, training_time) == ("3", numbers.seconds(50.0)) != ("3", numbers.seconds(200.0))
