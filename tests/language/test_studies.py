"""Studies: equal search and seeds, resumed where they stop, an order only where intervals part."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.language.faulty_mixers import Sound
from workbench import shipped
from workbench.language import mixer
from workbench.language.mixers import mixer_of
from workbench.language.published import parameters
from workbench.language.studies import beside, command, families, gates, micro, recall, table
from workbench.language.studies.beside import SHIPPED, Beside, _rivals, _run, beside_rivals, cost
from workbench.language.studies.design import SEARCH_SEED, Design, Entry
from workbench.language.studies.ranking import ranking
from workbench.language.studies.running import Found, best_rate, last_loss, results
from workbench.progress import Cancelled, Deadline, silent
from workbench.runs import Store
from workbench.training import FunctionTask


def rows_of(**values):
    """Rows of families with a value for each seed."""
    return [
        {"name": name, "size": "s", "seed": seed, "loss": value}
        for name, found in values.items()
        for seed, value in enumerate(found)
    ]


def test_an_order_is_shown_where_paired_intervals_part():
    shifts = np.array([0.0, 1.0, 2.0])  # far more than what parts the families, and shared
    (found,) = ranking(
        rows_of(a=1 + shifts, b=1.1 + shifts + [0, 0.001, 0], c=[1.0, 2.3, 2.9]),
        "loss",
        better="lower",
    )
    assert found.before("a", "b") is True and found.before("b", "a") is False
    assert found.before("a", "c") is None
    assert (found.rank("a"), found.rank("b"), found.rank("c")) == (1, 2, 1)
    assert list(found.table()["seeds"]) == [3, 3, 3]


def test_the_order_in_words_states_only_what_intervals_part():
    a, b, c = [1, 1.01, 0.99], [1.1, 1.11, 1.09], [0.9, 1.2, 1.5]

    def said(**values):
        return ranking(rows_of(**values), "loss", better="lower")[0].sentence

    assert said(a=a, b=b, c=c) == (
        "size s: a (1 ± 0.025) and b (1.1 ± 0.025) and c (1.2 ± 0.75)"
        "; of those joined by “and”, seeds tell only that a is before b."
    )
    assert said(a=a, c=c, d=[5, 5.1, 4.9]) == (
        "size s: a (1 ± 0.025) and c (1.2 ± 0.75) before d (5 ± 0.25)"
        "; between those joined by “and”, seeds do not tell which is better."
    )
    assert said(a=a, b=b) == "size s: a (1 ± 0.025) before b (1.1 ± 0.025)."


def test_the_papers_order_stands_beside_ours():
    (found,) = ranking(
        rows_of(a=[1.0, 1.01, 1.0], b=[2.0, 2.0, 2.01], c=[2.0, 1.9, 2.1]), "loss", better="lower"
    )
    first, second = found.beside(["b", "a", "c", "absent"])
    assert first.startswith("b before a: here it is the other way round")
    assert second.startswith("a before c: so here, too")
    assert "not told apart here" in found.beside(["b", "c"])[0]


def test_a_sure_difference_below_the_margin_is_none():
    (found,) = ranking(
        rows_of(a=[0.5, 0.5, 0.5], b=[0.501, 0.501, 0.501]), "loss", better="higher", margin=0.01
    )
    assert found.before("b", "a") is None


def test_two_seeds_part_nothing():
    (found,) = ranking(rows_of(a=[1.0, 1.0], b=[9.0, 9.0]), "loss", better="lower")
    assert found.before("a", "b") is None


def test_a_seed_that_comes_twice_and_a_column_that_is_not_there_are_named():
    rows = rows_of(a=[1.0])
    with pytest.raises(ValueError, match="a, size s, seed 0 twice"):
        ranking(rows + rows, "loss", better="lower")
    with pytest.raises(ValueError, match="no column 'bits'"):
        ranking(rows, "bits", better="lower")


def test_a_study_of_text_says_its_unique_bytes_and_epochs():
    for module in ("gates", "micro"):
        card = json.loads(shipped.path(f"{SHIPPED}/{module}/card.json").read_text(encoding="utf-8"))
        assert "2,150,056 unique bytes, " in card["seen"] and ", 1.03 epochs" in card["seen"]
    assert table.seen(small_design()) == {}


@pytest.mark.parametrize(
    "study", [pytest.param(gates, marks=pytest.mark.slow), families, micro, recall]
)
def test_families_have_equal_parameters_and_equal_search(study):
    design = study.design()
    for size in {entry.size for entry in design.entries}:
        counts = [parameters(entry.config) for entry in design.entries if entry.size == size]
        assert max(counts) / min(counts) < 1.01
    assert len(design.rates) == (4 if study is families else 3) and len(design.seeds) >= 3
    assert SEARCH_SEED not in design.seeds
    assert set(design.paper) <= {entry.kind for entry in design.entries}
    assert "multiply-adds" in design.plan()


def curved(config):
    """A loss whose best rate is known: the weight walks to 1, and a rate too high overshoots."""
    import jax.numpy as jnp

    return FunctionTask(
        init=lambda key: {"w": jnp.zeros(3)},
        loss=lambda params, batch, key: (jnp.sum((params["w"] - 1) ** 2), {}),
        batch=lambda step: np.zeros((1,), np.float32),
        evaluate=lambda params: {"apart": float(abs(params["w"] - 1).max())},
        fingerprint=f"curved {config.hidden_size}",
    )


def small_design(**changes):
    config = micro.design().entries[0].config
    return Design(**{
        "name": "curved",
        "entries": tuple(
            Entry(kind, kind, "s", config.model_copy(update={"hidden_size": width}))
            for kind, width in (("one", 32), ("two", 64))
        ),
        "task": curved,
        "measured": lambda entry, result: [{"apart": result.evaluation["apart"]}],
        "value": "apart", "better": "lower", "within": "size", "rates": (1e-3, 1e-1),
        "seeds": (0, 1, 2), "steps": 12, "search_steps": 10, "batch_size": 1, "length": 1,
        "paper": ("one", "two"), "source": "nobody", **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("studies"))
    return store, list(results(small_design(), store))[-1]


@pytest.mark.slow
def test_every_family_searches_alike_and_trains_each_seed_at_its_best_rate(finished):
    _, found = finished
    assert [row["learning_rate"] for row in found.searches] == [1e-3, 1e-1] * 2
    assert [(row["kind"], row["seed"]) for row in found.runs] == [
        (kind, seed) for seed in (0, 1, 2) for kind in ("one", "two")
    ]
    assert {row["learning_rate"] for row in found.runs} == {1e-1}
    assert set(found.weights) == {("one", "s"), ("two", "s")}
    assert table.at_an_end(small_design(), found) == ["one s: 0.1", "two s: 0.1"]


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_where_it_was(finished, tmp_path):
    store, whole = finished
    design = small_design(entries=small_design().entries[:1], rates=(1e-1,), seeds=(0,))

    def stop(done, total, note="", preview=None):
        if done > 15:
            raise Cancelled("enough")

    other = Store(tmp_path)
    with pytest.raises(Cancelled):
        list(results(design, other, stop))
    (mine,) = list(results(design, other))[-1].runs
    theirs = whole.runs[0]
    assert mine["train_loss"] == theirs["train_loss"] and mine["apart"] == theirs["apart"]
    assert mine["run"] == theirs["run"] and len(other.runs()) == 2
    trained = len(store.runs())
    list(results(design, store))
    assert len(store.runs()) == trained


def test_a_rate_without_a_number_is_not_chosen():
    rows = [
        {"kind": "one", "size": "s", "learning_rate": 1e-3, "loss": 2.0},
        {"kind": "one", "size": "s", "learning_rate": 1e-2, "loss": math.inf},
        {"kind": "two", "size": "s", "learning_rate": 1e-2, "loss": 1.0},
    ]
    one, _ = small_design().entries
    assert best_rate(rows, one) == 1e-3
    assert best_rate(rows[1:2], one) is None


def jumping(config):
    """The first family's loss is no number from the third update on."""
    import jax.numpy as jnp

    def loss(params, batch, key):
        gone = (config.hidden_size == 32) & (jnp.sum(batch) >= 2)
        return jnp.where(gone, jnp.nan, jnp.sum((params["w"] - 1) ** 2)), {}

    return replace(
        curved(config),
        loss=loss,
        batch=lambda step: np.full((1,), step, np.float32),
        fingerprint=f"jumping {config.hidden_size}",
    )


def test_what_diverged_is_kept_told_and_not_ranked(tmp_path, capsys, monkeypatch):
    design = small_design(
        task=jumping, entries=small_design().entries[:1], rates=(1e-1,), seeds=(0,), steps=4,
        search_steps=2,
    )  # fmt: skip
    out = tmp_path / "out"
    store = Store(tmp_path / "store")
    assert command.main(design, "here", ["--store", str(store.folder), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "one, s, seed 0, diverged at step 3: not ranked" in shown.err
    assert "size s" not in shown.out
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert card["finished"] and card["runs"] == "0 of 1" and not card["order"]
    gone = {"kind": "one", "name": "one", "size": "s", "seed": 0, "step": 3}
    assert card["diverged"] == [gone]
    both = [{"kind": kind, "size": "s"} for kind in ("one", "two")]
    monkeypatch.setattr(beside, "results", lambda *_: [Found(runs=both, diverged=[gone])])
    missing = []
    assert list(_run(design, missing, store, silent)) == [both[1:]]
    assert missing == ["curved: one, s, seed 0, diverged at step 3: not ranked"]


def test_a_family_that_diverges_at_every_rate_is_told_once(tmp_path):
    one = small_design().entries[:1]
    design = small_design(task=jumping, entries=one, rates=(1e-1, 1e-2), search_steps=4)
    found = list(results(design, Store(tmp_path)))[-1]
    assert table.diverged(found.diverged) == [
        "one, s, diverged at every rate, the last at step 3: not ranked"
    ]
    assert table.card(design, found, "here")["finished"] and not found.runs


def test_seeds_left_over_of_a_diverged_family_are_not_ranked(finished):
    _, found = finished
    gone = {"kind": "one", "name": "one", "size": "s", "seed": 9, "step": 3}
    (left,) = table.rankings(small_design(), replace(found, diverged=[gone]))
    assert list(left.means) == ["two"]


def test_tables_and_card_are_read_back(finished, tmp_path):
    _, found = finished
    table.write(small_design(margin=0.25), found, tmp_path / "out", "python -m here")
    rows, card = table.read(tmp_path / "out")
    assert list(rows["kind"]) == [row["kind"] for row in found.runs]
    assert card["finished"] and card["runs"] == "6 of 6" and card["command"] == "python -m here"
    assert card["beside_paper"][0].startswith("size s: one before two")
    assert card["margin"] == 0.25 and card["seconds"] > 0 and card["device"] and card["date"]


def test_the_command_says_that_it_goes_on_when_its_time_is_over(finished, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    late = ["--budget-minutes", "0", "--store", str(tmp_path)]
    assert command.main(small_design(), "here", [*late, *out]) == 3
    assert "the same command goes on from here" in capsys.readouterr().err
    store, _ = finished
    assert command.main(small_design(), "here", ["--store", str(store.folder), *out]) == 0
    shown = capsys.readouterr().out
    assert "size s: " in shown and "nobody:" in shown
    card = json.loads((tmp_path / "out" / "card.json").read_text(encoding="utf-8"))
    assert card["finished"]


def test_a_deadline_passes_reports_on_before_it_stops():
    heard = []
    with pytest.raises(Cancelled, match="the time given is over"):
        Deadline(-1.0, lambda *words: heard.append(words))(1, 2)
    assert heard


def test_the_last_loss_is_of_the_last_tenth():
    class Finished:
        history = pd.DataFrame({"step": range(1, 101), "loss": [5.0] * 90 + [1.0, 3.0] * 5})
        steps = 100

    assert last_loss(Finished()) == 2.0


def test_recall_turns_through_its_sizes_and_never_leaves_one_out():
    data = recall.task(recall.design().entries[0].config).data
    small = recall.Turns(tuple(one.model_copy(update={"train_examples": 8}) for one in data.tasks))
    asked = [(small.batch(step, 2, 0).targets >= 0).sum(axis=1) for step in range(4)]
    assert [found[0] for found in asked] == [2, 4, 8, 2]


def test_recall_repeats_no_row_and_has_nothing_between_its_queries():
    design = recall.design()
    data = design.task(design.entries[0].config).data
    assert all(one.train_examples * len(data.tasks) >= design.steps * design.batch_size
               for one in data.tasks)  # fmt: skip
    rows = data.batch(0, 4, 0)
    between = rows.tokens[:, 2 * recall.PAIRS[0] :][rows.targets[:, 2 * recall.PAIRS[0] :] < 0]
    assert not between.any() and rows.tokens.any()


def test_a_design_changes_the_familys_recipe_and_no_other():
    design, texts = recall.design(), micro.design()
    for entry in design.entries:
        assert design.recipe(entry, 1e-3, 0, 100).weight_decay == 0
    plain = replace(design, changes={}).recipe(design.entries[0], 1e-3, 0, 100)
    assert plain.weight_decay == texts.recipe(texts.entries[0], 1e-3, 0, 100).weight_decay > 0


def test_a_mixer_too_large_is_told():
    @mixer
    class Large(Sound):
        def init(self, key, width):
            import jax.numpy as jnp

            return {"w": jnp.zeros((width, 20 * width))}

    with pytest.raises(ValueError, match="all models here have 72,000"):
        recall.model(Large)


def test_rivals_are_read_from_tables_and_missed_by_name(tmp_path):
    design = small_design(name="micro")
    folder = tmp_path / "micro"
    folder.mkdir()
    rows = rows_of(GLA=[1.0, 1.1, 1.2, 1.3])
    pd.DataFrame(rows).to_csv(folder / "runs.csv", index=False)
    (folder / "card.json").write_text("{}", encoding="utf-8")
    missing: list[str] = []
    found = _rivals(design, tmp_path, missing)
    assert [row["seed"] for row in found] == [0, 1, 2] and not missing
    assert _rivals(design, tmp_path / "none", missing) == []
    assert "studies.micro" in missing[0] and SHIPPED.startswith("data/")


def test_a_mixer_named_like_a_rival_is_told_from_it(tmp_path, monkeypatch):
    config = mixer_of({"kind": "gla", "num_heads": 2}).model_copy(update={"name": "GLA"})
    rows = [
        {"name": "GLA", "kind": "gla", "size": "30k", "seed": seed, "bits_per_byte": 2.0 + seed}
        for seed in range(3)
    ]
    monkeypatch.setattr(
        beside, "results", lambda design, *_: [Found(runs=[mine(design, s) for s in range(3)])]
    )
    monkeypatch.setattr(beside, "_rivals", lambda design, *_: rows * (design.name == "micro"))
    monkeypatch.setattr(beside, "cost", lambda config, name, *_, **__: [{"name": name}])
    monkeypatch.setattr(beside, "_config", lambda given: given)
    found = beside_rivals(config, store=Store(tmp_path))
    assert found.mixer == "GLA (yours)" == found.cost[0]["name"]
    assert set(found.rankings()[-1].means) == {"GLA", "GLA (yours)"}


def mine(design, seed):
    (entry,) = design.entries
    about = {"kind": entry.kind, "name": entry.name, "size": entry.size, "seed": seed}
    return {**about, "pairs": 4, "accuracy": 0.5, "bits_per_byte": 1.9 + seed}


def test_cost_keeps_both_of_one_name_and_ends_when_its_time_is_over(monkeypatch):
    from workbench.measure import timing

    asked = []

    def interleaved(thunks, *, repeats, report):
        asked.extend(thunks)
        report(0, 1)

    monkeypatch.setattr(timing, "interleaved", interleaved)
    config = mixer_of({"kind": "gla", "num_heads": 2})
    with pytest.raises(Cancelled):
        cost(config, "GLA", Deadline(-1.0, silent), tiny=True)
    assert len(asked) == 6 and "GLA (yours) 128" in asked and "GLA 128" in asked


def test_the_minutes_given_bound_the_cost_too(tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "cost", lambda config, name, report, **_: report(0, 1) or [{}])
    config = mixer_of({"kind": "gla", "num_heads": 2})
    found = beside_rivals(config, minutes=-1.0, store=Store(tmp_path), studies=tmp_path)
    assert not found.cost and "the time given is over" in found.missing[-1]


def test_what_stands_beside_rivals_is_a_text_and_a_page():
    rows = [
        {"name": name, "size": "30k", "seed": seed, "bits_per_byte": value}
        for name, value in (("mine", 2.0), ("GLA", 1.9))
        for seed in range(3)
    ]
    recalled = [
        {"name": name, "pairs": 4, "seed": 0, "accuracy": value}
        for name, value in (("mine", 0.2), ("GLA", 0.9))
    ]
    cost = [{"name": "mine", "length": 8, "macs": 1.0, "state": 4, "seconds": 0.1}]
    found = Beside("mine", recalled, rows, cost, ["left out"])
    assert found.rankings()[0].before("GLA", "mine") is None  # one seed tells nothing
    assert found.rankings()[1].before("GLA", "mine") is True
    assert "left out" in str(found) and "<h4>cost</h4>" in found._repr_html_()
