"""The sweep that ships: its grid, its lengths, its FLOPs, and a tiny form of it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from workbench.labs.scaling import ladder_sweep as ladder
from workbench.labs.scaling import tables
from workbench.labs.scaling.ladder_sweep import FAMILIES, LENGTH, SIZES
from workbench.scaling.plan import bracketed
from workbench.scaling.selecting import EPOCHS

ROOT = Path(__file__).parents[2]


def test_the_grid_has_every_family_and_six_sizes_a_budget() -> None:
    rates = {(family, size): 3e-3 for family in FAMILIES for size in SIZES}
    found = pd.DataFrame(ladder.points(ladder.BUDGETS, rates))
    assert len(found) == 3 * 6 * (4 + 2) and not found.duplicated().any()
    assert found.groupby(["family", "budget"])["size"].nunique().eq(6).all()
    repeated = found[found["budget"] == ladder.REPEATED]
    assert repeated.groupby(["family", "size"])["seed"].nunique().eq(3).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", ladder.BUDGETS)
def test_a_run_spends_its_budget(family: str, budget: float) -> None:
    for size in ladder.BUDGETS[budget][:: len(ladder.BUDGETS[budget]) - 1]:
        settings = {"family": family, "size": size, "budget": budget, "rate": 3e-3, "seed": 1}
        recipe = ladder.recipe_of(ladder.model(family, size), settings)
        tokens = recipe.steps * recipe.batch_size * LENGTH
        told = ladder.counted(family, size, tokens)
        assert recipe.batch_size == ladder.ROWS
        assert 6 * told["n_params"] * tokens == pytest.approx(budget, rel=0.05)
        assert told["flops_total"] == pytest.approx(budget, rel=0.05)
        if family == "attention":  # each softmax, and scores whether they are masked or not
            config = ladder.model(family, size)
            scores = sum(
                4 * LENGTH * config.hidden_size + 3 * config.mixer(layer).num_heads * LENGTH
                for layer in range(config.num_hidden_layers)
            )
            head = config.vocab_size * config.hidden_size
            body = told["n_non_embedding"]
            assert told["flops_detailed"] == pytest.approx(
                3 * (2 * body + 4 * head + scores) * tokens, rel=1e-12
            )
        ternary = told["flops_standard"] / 6 if family == "matmulfree" else None
        assert told.get("forward_additions") == ternary
        assert told["flops_kaplan"] < told["flops_standard"] < told["flops_attention"]
        assert recipe.seed == 1 and recipe.learning_rate == 3e-3


def test_the_rate_of_least_training_loss_is_kept() -> None:
    rows = [
        ("gla", "10k", 1e-3, 2.0),
        ("gla", "10k", 3e-3, 1.5),
        ("gla", "10k", 1e-2, float("nan")),
        ("gla", "30k", 1e-3, float("nan")),
    ]
    table = pd.DataFrame(rows, columns=["family", "size", "rate", "train_loss"])
    study: Any = SimpleNamespace(table=lambda: table[table["size"] == "10k"])
    assert ladder.best_rates(study) == {("gla", "10k"): 3e-3}
    whole: Any = SimpleNamespace(table=lambda: table)
    with pytest.raises(RuntimeError, match="gla 30k"):
        ladder.best_rates(whole)


@pytest.mark.parametrize(
    ("tried", "wanted"),
    [
        ({3e-3: 1.5, 1e-2: 1.4}, [3e-2]),
        ({3e-3: 1.4, 1e-2: 1.5}, [1e-3]),
        ({3e-3: 1.5, 1e-2: 1.4, 3e-2: float("nan")}, []),
        ({3e-4: 1.3, 1e-3: 1.4}, []),
    ],
)
def test_the_search_goes_on_until_the_best_rate_is_bracketed(
    tried: dict[float, float], wanted: list[float]
) -> None:
    rows = [("gla", "10k", rate, loss) for rate, loss in tried.items()]
    table = pd.DataFrame(rows, columns=["family", "size", "rate", "train_loss"])
    study: Any = SimpleNamespace(table=lambda: table)
    assert ladder.untried(study) == [(("gla", "10k"), rate) for rate in wanted]


def test_a_study_of_failures_tells_the_first() -> None:
    errors = [{"state": "finished", "error": ""}, {"state": "failed", "error": "disk full"}]
    study: Any = SimpleNamespace(name="rates", records=lambda: errors)
    with pytest.raises(RuntimeError, match="rates: 1 of 2 runs failed, the first with: disk full"):
        ladder.complete(study)
    done: Any = SimpleNamespace(records=lambda: errors[:1])
    assert ladder.complete(done) is done


@pytest.mark.slow
@pytest.mark.long
def test_a_tiny_sweep_writes_what_the_lab_reads(tmp_path: Path) -> None:
    given = ["--tiny", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    answer = subprocess.run([sys.executable, "-m", ladder.__name__, *given], cwd=ROOT)
    assert answer.returncode == 0
    found = pd.read_csv(tmp_path / "out" / "runs.csv")
    assert sorted(found["method"]) == sorted(FAMILIES.values())
    wanted = {"budget", "n_params", "n_non_embedding", "n_tokens", "unique_tokens", "loss"}
    wanted |= {"seed", "seconds", "flops_total", "flops_detailed", "device", "date", "epochs"}
    assert wanted <= set(found.columns)
    curves = pd.read_csv(tmp_path / "out" / "curves.csv")
    assert set(curves["row"]) == {0, 1, 2} and curves["loss"].between(1.0, 6.5).all()
    last = curves.groupby("row")["n_tokens"].max()
    assert (last <= found["n_tokens"]).all() and (last > 0.9 * found["n_tokens"]).all()
    assert found["loss"].between(1.0, 6.0).all() and (found["seconds"] > 0).all()


def test_what_ships_is_the_whole_grid_with_every_best_size_between_others() -> None:
    table = tables.shipped_sweep()
    assert table is not None and table.curves is not None
    runs = table.runs
    assert set(runs["method"]) == set(FAMILIES.values())
    cells = runs.groupby(["method", "budget"])
    assert len(cells) == 3 * len(ladder.BUDGETS) and (cells["n_params"].nunique() == 6).all()
    repeated = runs[runs["budget"] == ladder.REPEATED]
    assert (repeated.groupby(["method", "n_params"])["seed"].nunique() == 3).all()
    assert (6 * runs["n_params"] * runs["n_tokens"]).to_numpy() == pytest.approx(
        runs["budget"].to_numpy(), rel=0.05
    )
    assert (runs["epochs"] * runs["unique_tokens"]).to_numpy() == pytest.approx(
        runs["n_tokens"].to_numpy()
    )
    for method, rows in runs[runs["epochs"] <= EPOCHS].groupby("method"):
        found = bracketed(rows)
        assert found["bracketed"].all(), f"{method}: {found}"
    assert set(table.curves["run"]) == set(runs.index)


@pytest.mark.slow
def test_what_ships_has_the_rates_of_its_search_and_flops_by_the_same_count() -> None:
    runs = tables.shipped_sweep().runs
    search = pd.read_csv(ROOT / "data/scaling-lab/rates.csv")
    best = search.loc[search.groupby(["method", "n_params"])["train_loss"].idxmin()]
    rates = best.set_index(["method", "n_params"])["rate"]
    for (method, size), rows in runs.groupby(["method", "n_params"]):
        assert set(rows["rate"]) == {rates[method, size]}
    kinds = {title: family for family, title in FAMILIES.items()}
    for _, run in runs[runs["seed"] == 0].iterrows():
        size = min(SIZES, key=lambda name: abs(SIZES[name][0] - run["n_params"]))
        told = ladder.counted(kinds[run["method"]], size, int(run["n_tokens"]))
        assert {name: run[name] for name in told} == pytest.approx(told, rel=1e-12)
