"""Tables and logs of others: what is proposed, put right, remembered, and read."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scaling.studies import ladder, study_of
from tests.scaling.surfaces import TRUTH, runs
from workbench.runs import Store
from workbench.scaling import Chinchilla, fit
from workbench.scaling.flops import Shape, training
from workbench.scaling.importing import (
    Choice,
    LogError,
    applied,
    assumed,
    bring,
    completions,
    propose,
    put_by_hand,
    put_right,
    read,
    recall,
    remember,
)
from workbench.scaling.importing.quantities import count, nats


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("70M", 7e7),
        ("1.4T", 1.4e12),
        ("1.3b", 1.3e9),
        ("125 million", 1.25e8),
        ("2,048", 2048),
        ("1e9", 1e9),
        ("300B tokens", 3e11),
        (12, 12),
        ("12.5", 12.5),
        ("-3k", -3e3),
    ],
)
def test_numbers_as_people_write_them(text: object, number: float) -> None:
    assert count(text) == number


@pytest.mark.parametrize("text", ["", "M", "7x", "n/a", None, True, "1.2.3"])
def test_what_is_no_number(text: object) -> None:
    assert math.isnan(count(text))


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary()))
def test_any_value_gives_a_number_or_none(value: object) -> None:
    assert isinstance(count(value), float)


def test_losses_in_other_units() -> None:
    given = pd.Series([2.0, 3.0])
    assert nats(given, "bits").tolist() == pytest.approx([2 * math.log(2), 3 * math.log(2)])
    assert nats(np.exp(given), "perplexity").tolist() == pytest.approx([2.0, 3.0])
    with pytest.raises(ValueError, match="unit is 'bans'"):
        nats(given, "bans")


def chosen(table: pd.DataFrame) -> dict[str, Choice]:
    return {choice.target: choice for choice in propose(table)}


@pytest.mark.parametrize(
    ("header", "target", "fields"),
    [
        ("Model Size", "n_params", {}),
        ("params_M", "n_params", {"scale": 1e6}),
        ("Parameters (B)", "n_params", {"scale": 1e9}),
        ("non_embedding_params", "n_params", {"embedding": False}),
        ("tokens (billions)", "n_tokens", {"scale": 1e9}),
        ("trainingTokens", "n_tokens", {}),
        ("val/loss", "loss", {"unit": "nats"}),
        ("Validation Loss", "loss", {"unit": "nats"}),
        ("eval_perplexity", "loss", {"unit": "perplexity"}),
        ("bits_per_byte", "loss", {"unit": "bits"}),
        ("FLOPs", "flops", {}),
        ("arch", "method", {}),
    ],
)
def test_a_column_is_known_by_its_name(header: str, target: str, fields: dict) -> None:
    values = [3.1, 2.9] if target == "loss" else [5e6, 7e6]
    found = chosen(pd.DataFrame({header: values, "notes": ["a", "b"]}))
    assert found[target].column == header
    for name, value in fields.items():
        assert getattr(found[target], name) == value
    assert len(found) == 1


def test_a_column_is_known_by_its_values() -> None:
    found = chosen(pd.DataFrame({"n": [0.07, 1.4], "tokens": [20, 300], "loss": [22.0, 31.0]}))
    assert found["n_params"].scale == 1e9 and found["n_tokens"].scale == 1e9
    assert found["loss"].unit == "perplexity"


@pytest.mark.slow
def test_a_foreign_table_gives_the_same_law(tmp_path: Path) -> None:
    table = runs()
    foreign = pd.DataFrame(
        {
            "Parameters (M)": table["n_params"] / 1e6,
            "Tokens (B)": table["n_tokens"] / 1e9,
            "val_ppl": np.exp(table["loss"]),
            "comment": "x",
        }
    )
    file = tmp_path / "runs.csv"
    foreign.to_csv(file, index=False)
    brought, _ = bring(file)
    assert fit(Chinchilla(), brought).params == pytest.approx(TRUTH, rel=1e-4)


def test_a_choice_is_put_right_and_remembered(tmp_path: Path) -> None:
    table = pd.DataFrame({"size": [1.0, 2.0], "toks": [3.0, 4.0], "loss": [2.0, 3.0]})
    assert {choice.target for choice in propose(table)} == {"loss"} | (
        {"n_params"} if "n_params" in chosen(table) else set()
    )
    choices = put_right(propose(table), "n_tokens", column="toks", scale=1e9)
    choices = put_right(choices, "n_params", column="size", scale=1e6)
    assert applied(table, choices)["n_tokens"].tolist() == [3e9, 4e9]
    assert recall(table, tmp_path) is None
    remember(table, choices, tmp_path)
    assert recall(table, tmp_path) == choices
    assert recall(table.rename(columns={"toks": "other"}), tmp_path) is None
    with pytest.raises(ValueError, match="target is 'speed'"):
        put_right(choices, "speed", column="toks")
    with pytest.raises(ValueError, match="no column 'gone'; there are size, toks, loss"):
        applied(table, put_right(choices, "n_tokens", column="gone"))


def test_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "columns.json").write_text("[1", encoding="utf-8")
    table = pd.DataFrame({"loss": [1.0]})
    assert recall(table, tmp_path) is None
    remember(table, propose(table), tmp_path)
    assert recall(table, tmp_path) == propose(table)


def by_step() -> pd.DataFrame:
    rows = []
    for run in range(3):
        for step in range(1, 6):
            rate = 1e-3 * (1 - (step - 1) / 5) if run else 1e-3
            rows.append((f"run{run}", step, 1e6 * (run + 1), 1e6 * step, 5.0 / step, rate))
    names = ["run", "step", "n_params", "n_tokens", "loss", "learning_rate"]
    return pd.DataFrame(rows, columns=names)


def test_rows_of_steps_become_runs(tmp_path: Path) -> None:
    file = tmp_path / "steps.csv"
    by_step().to_csv(file, index=False)
    found, _ = bring(file)
    assert found["loss"].tolist() == [1.0, 1.0, 1.0] and found["step"].tolist() == [5, 5, 5]
    assert found["mid_schedule"].tolist() == [True, False, False]
    whole, _ = bring(file, points="all")
    assert len(whole) == 15 and whole["cluster"].nunique() == 3
    assert whole["mid_schedule"].sum() > 3
    with pytest.raises(ValueError, match="points is 'first'"):
        bring(file, points="first")


def test_without_a_rate_every_point_but_the_last_is_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "steps.csv"
    by_step().drop(columns="learning_rate").to_csv(file, index=False)
    last, _ = bring(file)
    assert len(last) == 3 and "mid_schedule" not in last
    whole, _ = bring(file, points="all")
    assert (~whole["mid_schedule"]).tolist() == [step == 5 for step in whole["step"]]
    assert assumed(whole) == (
        "no learning rate: all but a run’s last point count as mid-schedule"
    )  # fmt: skip
    rates = by_step()["learning_rate"].where(by_step()["run"] != "run0")
    by_step().assign(learning_rate=rates).to_csv(file, index=False)
    some, _ = bring(file, points="all")
    assert some[some["run"] == "run0"]["mid_schedule"].tolist() == [True] * 4 + [False]
    assert assumed(some).startswith("no learning rate for 1 of 3 runs: ")
    by_step().to_csv(file, index=False)
    assert assumed(bring(file, points="all")[0]) == ""
    by_step().drop(columns="learning_rate").assign(mid_schedule=False).to_csv(file, index=False)
    own, _ = bring(file, points="all")
    assert not own["mid_schedule"].any() and assumed(own) == ""


def steps_alone() -> pd.DataFrame:
    """A log that knows neither sizes nor tokens."""
    return by_step()[["run", "step", "loss"]].rename(columns={"loss": "val/loss"})


def test_a_log_gets_sizes_and_tokens_by_hand(tmp_path: Path) -> None:
    table = steps_alone()
    choices = put_by_hand(propose(table), table, "tokens_per_step", "4k")
    choices = put_by_hand(choices, table, "n_params", "run0 = 1M; run1 = 2M\nrun2 = 4,000,000")
    assert completions(choices) == ["D = steps × tokens a step"]
    found = applied(table, choices)
    assert found["n_tokens"].tolist() == [4000.0 * step for step in table["step"]]
    assert found.groupby("run")["n_params"].first().tolist() == [1e6, 2e6, 4e6]
    file = tmp_path / "steps.csv"
    table.to_csv(file, index=False)
    remember(table, choices, tmp_path)
    last, _ = bring(file, recall(table, tmp_path))
    assert last["n_tokens"].tolist() == [20e3] * 3 and "cluster" not in last
    one = applied(table, put_by_hand(choices, table, "n_params", "70M"))
    assert set(one["n_params"]) == {7e7}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run0 = 1M; run1 = 2M", "no number for run 'run2'"),
        ("run0 = 1M; run9 = 2M", "no run 'run9'; there are run0, run1, run2"),
        ("run0 = many", "'run0 = many' is not 'run = number'"),
        ("sizes", "no column 'sizes'; there are run, step, val/loss"),
    ],
)
def test_numbers_by_hand_that_do_not_fit(words: str, message: str) -> None:
    table = steps_alone()
    with pytest.raises(ValueError, match=message):
        applied(table, put_by_hand(propose(table), table, "n_params", words))


def test_numbers_by_run_need_runs() -> None:
    table = steps_alone().drop(columns="run")
    with pytest.raises(ValueError, match="no column says which run"):
        applied(table, put_by_hand(propose(table), table, "n_params", "a = 1M"))


def test_parameters_without_the_embedding_are_made_whole_where_it_is_known() -> None:
    body = pd.DataFrame({"non_embedding_params": [1e6, 2e6], "tokens": [1e8, 2e8]})
    alone = applied(body, propose(body))
    assert "n_params" not in alone and alone["n_non_embedding"].tolist() == [1e6, 2e6]
    wide = body.assign(d_model=[64, 128], vocab_size=50_000)
    found = applied(wide, propose(wide))
    assert found["n_params"].tolist() == [1e6 + 64 * 50_000, 2e6 + 128 * 50_000]
    given = wide.assign(embedding_params=[1e5, 2e5])
    assert applied(given, propose(given))["n_params"].tolist() == [1.1e6, 2.2e6]
    both = given.assign(params=[7e6, 8e6])
    found = applied(both, propose(both))
    assert found["n_params"].tolist() == [7e6, 8e6]
    assert found["n_non_embedding"].tolist() == [1e6, 2e6]


def test_an_architecture_gives_flops_by_every_convention() -> None:
    table = pd.DataFrame(
        {"d_model": [512, 640], "n_layers": [8, 10], "n_heads": [8, 10], "d_ff": [2048, 2560],
         "vocab_size": 32_000, "seq_len": 2048, "tokens": [1e9, 2e9], "flops_total": [1.0, 2.0]}
    )  # fmt: skip
    found = applied(table, propose(table))
    shape = Shape(512, 8, 8, 2048, 32_000)
    for name, value in training(shape, 1e9, 2048).items():
        if name != "total":
            assert found[f"flops_{name}"].iloc[0] == pytest.approx(value)
    assert found["flops_total"].tolist() == [1.0, 2.0], "its own figure stays"
    assert found["n_params"].iloc[0] == shape.total and "flops" not in found
    gated = applied(table.assign(gated=[True, False]), propose(table.assign(gated=[True, False])))
    more = 6 * 512 * 2048 * 8 * 1e9
    assert (gated["flops_kaplan"] - found["flops_kaplan"]).tolist() == pytest.approx([more, 0])


def test_a_sweep_is_a_table_of_runs(tmp_path: Path) -> None:
    study = ladder(Store(tmp_path))
    found, choices = bring(study)
    assert len(found) == 6 and found["n_params"].nunique() == 3
    assert {one.target: one.column for one in choices} == {
        "n_params": "num_params", "n_tokens": "tokens", "loss": "val_loss", "method": "arch",
        "run": "run", "step": "steps", "learning_rate": "lr",
    }  # fmt: skip
    whole, _ = bring(study, points="all")
    assert len(whole) == 12 and whole["cluster"].nunique() == 6
    half = whole.groupby("run")["n_tokens"].agg(["min", "max"])
    assert (half["min"] * 2 == half["max"]).all()
    assert whole["loss"].max() > found["loss"].max() + 0.5
    assert whole["mid_schedule"].sum() == 6 and assumed(whole).startswith("no learning rate: ")
    empty = study_of(Store(tmp_path), "empty", [], waiting=2)
    with pytest.raises(LogError, match="study 'empty' has no finished run"):
        bring(empty)


def test_an_exported_chart(tmp_path: Path) -> None:
    file = tmp_path / "wandb.csv"
    table = pd.DataFrame(
        {
            "Step": [1, 2, 3],
            "small - val/loss": [4.0, None, 3.0],
            "small - val/loss__MIN": [4.0, None, 3.0],
            "small - val/loss__MAX": [4.0, None, 3.0],
            "a - b - val/loss": [3.5, 3.0, 2.5],
            "a - b - val/loss__MIN": [3.5, 3.0, 2.5],
        }
    )
    table.to_csv(file, index=False)
    found = read(file)
    assert sorted(found["run"].unique()) == ["a - b", "small"]
    assert found[found["run"] == "small"]["val/loss"].tolist() == [4.0, 3.0]


def test_trainer_states(tmp_path: Path) -> None:
    for name, steps in (("checkpoint-10", 10), ("checkpoint-20", 20)):
        folder = tmp_path / "tiny" / name
        folder.mkdir(parents=True)
        log = [
            {"step": s, "loss": 5 - s / 10, "learning_rate": 1e-3} for s in range(5, steps + 1, 5)
        ]
        log += [{"step": s, "eval_loss": 5.1 - s / 10} for s in range(10, steps + 1, 10)]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    found = read(tmp_path)
    assert found["run"].unique().tolist() == ["tiny"] and found["step"].max() == 20
    assert found["eval_loss"].dropna().tolist() == pytest.approx([4.1, 3.1])
    assert "train_loss" in found and "loss" not in found
    (tmp_path / "trainer_state.json").write_text("{}")
    with pytest.raises(LogError, match=r"trainer_state.json is no state of a Trainer"):
        read(tmp_path / "trainer_state.json")


def field(number: int, kind: int, body: bytes) -> bytes:
    return bytes([number << 3 | kind]) + body


def sized(number: int, body: bytes) -> bytes:
    return field(number, 2, bytes([len(body)]) + body)


def record(step: int, tag: str, value: float, *, tensor: bool = False) -> bytes:
    scalar = struct.pack("<f", value)
    held = sized(8, field(1, 0, b"\x01") + sized(4, scalar)) if tensor else field(2, 5, scalar)
    summary = sized(1, sized(1, tag.encode()) + held)
    event = field(1, 1, struct.pack("<d", 1.0)) + field(2, 0, bytes([step])) + sized(5, summary)
    return struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4


def test_tensorboard_events(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    file = folder / "events.out.tfevents.1.host"
    content = record(1, "loss", 4.0) + record(2, "loss", 3.0, tensor=True)
    content += record(2, "lr", 0.5)
    file.write_bytes(content + record(3, "loss", 2.0)[:-20])  # torn by a crash
    found = read(tmp_path)
    assert found["run"].tolist() == ["small", "small"]
    assert found["loss"].tolist() == [4.0, 3.0] and found["lr"].iloc[1] == 0.5
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(LogError, match="no file of TensorBoard events"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "x", r"a.txt is none of .csv"),
        ("a.csv", "", r"a.csv cannot be read"),
        ("a.csv", "x,y\n", r"a.csv has no rows"),
        ("a.json", "{", r"a.json cannot be read"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(LogError, match=words):
        read(tmp_path / name)


def test_places_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        read(tmp_path / "gone.csv")
    with pytest.raises(LogError, match="holds neither"):
        read(tmp_path)
