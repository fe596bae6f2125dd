"""`python -m workbench fit`: the same as in Python, from a file to a folder."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.scaling.studies import study_of
from tests.scaling.surfaces import TRUTH, runs
from workbench.__main__ import app
from workbench.runs import Store
from workbench.scaling import Fit
from workbench.scaling.command import Chosen, brought, selected
from workbench.scaling.selecting import Filter


def run(*words: str):
    return CliRunner().invoke(app, ["fit", *words])


@pytest.mark.slow
def test_a_csv_becomes_a_record_and_tables(tmp_path: Path) -> None:
    file, out = tmp_path / "runs.csv", tmp_path / "out"
    runs(noise=0.003).to_csv(file, index=False)
    done = run(str(file), "--law", "chinchilla", "--bootstrap", "64", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "Chinchilla" in done.output
    found = Fit.load(out / "fit.json")
    assert found.params["alpha"] == pytest.approx(TRUTH["alpha"], rel=0.1)
    table = pd.read_csv(out / "allocation.csv")
    assert {"compute", "n_params", "n_params_low", "loss_high"} <= set(table.columns)
    assert len(pd.read_csv(out / "residuals.csv")) == 45
    assert json.loads((out / "fit.json").read_text(encoding="utf-8"))["about"] == {
        "table": str(file), "methods": [], "left_out": [], "flops": "counted as 6 N D",
        "n_counts": "parameters",
    }  # fmt: skip


@pytest.mark.slow
def test_methods_share_where_asked(tmp_path: Path) -> None:
    file, out = tmp_path / "runs.csv", tmp_path / "out"
    slower = runs(TRUTH | {"A": 600.0}).assign(method="b")
    pd.concat([runs().assign(method="a"), slower]).to_csv(file, index=False)
    done = run(str(file), "--shared", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert Fit.load(out / "fit.json").params["A[b]"] == pytest.approx(600, rel=1e-3)


def test_what_is_wrong_is_said_and_nothing_written(tmp_path: Path) -> None:
    file, out = tmp_path / "runs.csv", tmp_path / "out"
    table = runs()
    table.loc[3, "loss"] = -1
    table.to_csv(file, index=False)
    done = run(str(file), "--out", str(out))
    assert done.exit_code == 1 and not out.exists()
    assert "row 3: loss is -1" in done.output
    assert run(str(file), "--law", "linear", "--out", str(out)).exit_code == 1
    assert run(str(tmp_path / "gone.csv"), "--out", str(out)).exit_code == 1
    assert run(str(file), "--drop", "--ratio", "1", "--out", str(out)).exit_code == 0
    about = json.loads((out / "fit.json").read_text(encoding="utf-8"))["about"]
    below, faulty = about["left_out"]
    assert below.endswith("below 1 tokens a parameter") and faulty.startswith("row 3: loss is -1")


def test_rows_are_chosen_as_in_the_lab_and_the_choice_is_told() -> None:
    table = runs().assign(method=["a"] * 30 + ["b"] * 15, unique_tokens=1e30)
    table["mid_schedule"] = [True, *[False] * 44]
    table.loc[1:3, "unique_tokens"] = 1.0
    found, words, gone = selected(table, Chosen())
    assert set(found["method"]) == {"a"} and len(found) == 26
    assert words == [
        "method: a, of a, b; --method names another, --shared takes all",
        "26 of 30 rows; filters: at most 4 epochs, ended schedules only",
    ]
    assert gone == [
        "1 mid-schedule",
        "3 above 4 epochs",
    ]
    assert len(selected(table, Chosen(method="b"))[0]) == 15
    assert len(selected(table, Chosen(method="all"))[0]) == 41
    assert len(selected(table, Chosen(), together=True)[0]) == 41
    assert len(selected(table, Chosen(), repeated=True)[0]) == 29
    more = Filter(epochs=1e40, finished=False, highest=2, left_out=frozenset({"7"}))
    assert len(selected(table, Chosen(filters=more))[0]) == 27
    with pytest.raises(ValueError, match="Method 'c' is none of a, b"):
        selected(table, Chosen(method="c"))
    with pytest.raises(ValueError, match="no run is left: 1 mid-schedule, 29 below"):
        selected(table, Chosen(filters=Filter(ratio=1e9)))


def test_all_points_of_a_log_without_rates_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "steps.csv"
    steps = [(run, step, 5.0 - step) for run in range(2) for step in (1, 2, 3)]
    pd.DataFrame(steps, columns=["run", "tokens", "loss"]).assign(params=7e7).to_csv(file)
    table, words = brought(file, Chosen(points="all"))
    assert words[-1].endswith("last point count as mid-schedule; --unfinished fits them too")
    found, _, gone = selected(table, Chosen(points="all"))
    assert len(table) == 6 and len(found) == 2 and gone == ["4 mid-schedule"]
    assert not any("mid-schedule" in line for line in brought(file, Chosen())[1])


def test_a_table_without_the_embedding_is_read_as_it_is_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "body.csv"
    runs().rename(columns={"n_params": "non_embedding_params"}).to_csv(file, index=False)
    table, _ = brought(file, Chosen())
    found, words, _ = selected(table, Chosen())
    assert (found["n_params"] == table["n_non_embedding"]).all()
    assert "6 N D is Kaplan's count" in words[0]


@pytest.mark.slow
def test_the_command_takes_one_method_and_fills_in_what_a_log_lacks(tmp_path: Path) -> None:
    file, out = tmp_path / "steps.csv", tmp_path / "out"
    table = runs()
    rows = {"run": table.index, "step": table["n_tokens"] / 1000, "loss": table["loss"]}
    steps = pd.DataFrame(rows).assign(arch=["a"] * 40 + ["b"] * 5)
    steps.to_csv(file, index=False)
    sizes = "; ".join(f"{run} = {size!r}" for run, size in enumerate(table["n_params"]))
    done = run(
        str(file), "--size", sizes, "--step-tokens", "1000", "--method", "a", "--out", str(out)
    )
    assert done.exit_code == 0, done.output
    assert "method: a, of a, b" in done.output and "D = steps × tokens a step" in done.output
    found = Fit.load(out / "fit.json")
    assert len(found.runs) == 40
    assert found.params["alpha"] == pytest.approx(TRUTH["alpha"], rel=1e-3)


def test_a_sweep_is_fitted_by_its_name(tmp_path: Path, workbench_home: Path) -> None:
    rows = [
        ({"n_params": row["n_params"], "n_tokens": row["n_tokens"]}, {"loss": row["loss"]}, [])
        for row in runs().iloc[::3].to_dict("records")
    ]
    study_of(Store(), "mine", rows, waiting=1)
    found, _ = brought(Path("mine"), Chosen())
    assert len(found) == 15 and {"run", "n_params", "n_tokens", "loss"} <= set(found.columns)
    assert run("yours", "--out", str(tmp_path / "out")).exit_code == 1
