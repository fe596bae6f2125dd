"""`python -m workbench fit`: the same as in Python, from a file to a folder."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.scaling.surfaces import TRUTH, runs
from workbench.__main__ import app
from workbench.scaling import Fit


def run(*words: str):
    return CliRunner().invoke(app, ["fit", *words])


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
    assert run(str(file), "--drop", "--out", str(out)).exit_code == 0
