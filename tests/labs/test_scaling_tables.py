"""Tables that the scaling lab opens: proposals put right, filters, and what a fault says."""

import numpy as np
import pandas as pd
import pytest

from workbench.labs.scaling import recorded, tables
from workbench.labs.scaling.accounting import accounting
from workbench.labs.scaling.compare_view import CompareView
from workbench.labs.scaling.fit_form import REPEATED
from workbench.labs.scaling.fit_view import FitView
from workbench.labs.scaling.runs_form import Shelf, corrected
from workbench.labs.scaling.selection import Filters, selected, toggled
from workbench.labs.scaling.table_view import named
from workbench.panels.settings import accepted, start
from workbench.progress import silent
from workbench.scaling.bias import simulated as simulator


def values(view, given=None):
    return accepted(view, start(view, given or {}))


def in_form(shelf, **given):
    return shelf.group(columns=True).knobs.parse({"source": "file", **given})


@pytest.fixture
def table(tmp_path, workbench_home):
    """Runs under somebody else's names and units: M of parameters, B of tokens, bits."""
    runs = tables.simulated().runs
    runs = runs[runs["method"] == "reference"]
    file = tmp_path / "mine.csv"
    pd.DataFrame(
        {
            "Model size": [f"{size / 1e6:.6f}M" for size in runs["n_params"]],
            "Tokens (B)": runs["n_tokens"] / 1e9,
            "bits_per_token": runs["loss"] / np.log(2),
            "other": runs["loss"] + 1,
        }
    ).to_csv(file, index=False)
    return file, runs


def test_a_brought_table_is_mapped_by_proposal(table):
    file, runs = table
    found = tables.opened(str(file))
    assert found.runs["n_params"].to_numpy() == pytest.approx(runs["n_params"].to_numpy(), rel=1e-6)
    assert found.runs["n_tokens"].to_numpy() == pytest.approx(runs["n_tokens"].to_numpy(), rel=1e-6)
    assert found.runs["loss"].to_numpy() == pytest.approx(runs["loss"].to_numpy(), rel=1e-6)
    assert {one.target for one in found.choices} >= {"n_params", "n_tokens", "loss"}


def test_a_column_put_right_by_hand_is_used_and_remembered(table):
    file, runs = table
    shelf = Shelf(str(file))
    knobs = in_form(shelf, file=str(file), loss_column="other", loss_unit="nats")
    raw = tables.opened(str(file)).raw
    assert [(one.target, one.column, one.why) for one in corrected(knobs, raw)] == [
        ("loss", "other", "by hand")
    ]
    found = shelf.table(knobs)
    assert found.runs["loss"].to_numpy() == pytest.approx(runs["loss"].to_numpy() + 1)
    view = FitView(str(file))
    view.remember(values(view, {"runs": knobs.model_dump()}))
    again = tables.opened(str(file))
    assert again.runs["loss"].to_numpy() == pytest.approx(runs["loss"].to_numpy() + 1)


def test_what_is_wrong_with_a_file_stands_in_the_form(table, tmp_path):
    file, _ = table
    view = FitView(str(file))
    for given, words in (
        ({"file": ""}, "File is empty"),
        ({"file": str(tmp_path / "no.csv")}, "no such file"),
        ({"loss_column": "nowhere"}, "no column 'nowhere'"),
        ({"count": "detailed"}, "needs column flops_detailed"),
    ):
        (problem,) = view.check(values(view, {"runs": given}))
        assert problem.level == "error" and words in problem.message


def test_rows_that_are_no_runs_are_named_and_left_out(table):
    file, _ = table
    rows = file.read_text(encoding="utf-8").splitlines()
    rows[2] = rows[2].rsplit(",", 2)[0] + ",broken,1"
    rows[4] = "-5M" + rows[4][rows[4].index(",") :]
    file.write_text("\n".join(rows), encoding="utf-8")
    view = FitView(str(file))
    found = {problem.message: problem.level for problem in view.check(values(view))}
    assert set(found.values()) == {"warn"}
    text = "\n".join(found)
    assert "row 1: loss is 'broken', not a number" in text
    assert "row 3: n_params is -5000000.0, not a finite number above 0" in text


def test_a_table_without_a_loss_says_what_it_has(tmp_path, workbench_home):
    file = tmp_path / "few.csv"
    file.write_text("n_params,n_tokens,speed\n1e6,1e9,3\n2e6,1e9,3\n", encoding="utf-8")
    view = FitView(str(file))
    (problem,) = view.check(values(view))
    assert problem.level == "error" and "column loss: not in the table" in problem.message


def test_filters_leave_out_and_say_why():
    table = tables.simulated()
    shelf = Shelf()
    knobs = shelf.group().knobs.parse({"source": "simulated"})
    every = selected(table, knobs)
    assert every.methods == ("reference",) and len(every.runs) == 45
    label = str(every.runs.index[0])
    few = selected(table, knobs, Filters(highest=2, left_out=label, ratio=10))
    ratio = every.runs["n_tokens"] / every.runs["n_params"]
    assert len(few.runs) == 45 - (ratio < 10).sum() - (2 if ratio.iloc[0] < 10 else 3)
    assert (few.runs["n_tokens"] / few.runs["n_params"]).min() >= 10
    assert any("below 10 tokens" in words for words in few.left_out)
    assert toggled("", "3") == "3" and toggled("3, 7", "3") == "7"
    with pytest.raises(ValueError, match="No run is left"):
        selected(table, knobs, Filters(ratio=1000))


def test_points_before_the_schedules_end_are_left_out():
    runs = tables.simulated().runs.assign(mid_schedule=[True] * 3 + [False] * 87)
    shelf = Shelf(runs)
    knobs = shelf.group().knobs.parse({})
    assert len(selected(shelf.first, knobs).runs) == 42
    assert len(selected(shelf.first, knobs, Filters(finished=False)).runs) == 45


def test_compute_is_divided_in_the_convention_in_use():
    from workbench.scaling import PRESETS, Fit
    from workbench.scaling.settings import Settings

    preset = PRESETS["besiroglu"]
    runs = tables.simulated().runs
    costly = runs.assign(flops_detailed=(6 + 3e9 / runs["n_params"]) * runs["n_params"]
                         * runs["n_tokens"])  # fmt: skip
    fit = Fit(preset.law, Settings(), dict(preset.params), 0.0, runs)
    plain, detailed = accounting(costly), accounting(costly, "detailed")
    budget = 1e20
    row = detailed.allocation(fit, budget).iloc[0]
    assert detailed.compute(row["n_params"], row["n_tokens"]) == pytest.approx(budget, rel=1e-3)
    assert row["compute"] == budget
    assert row["n_tokens"] < plain.allocation(fit, budget)["n_tokens"].iloc[0]
    assert plain.allocation(fit, budget).equals(fit.allocation(budget))


def test_the_simulated_table_that_ships_is_the_one_that_is_simulated():
    made, ships = tables.simulate(), tables.simulated().runs
    assert list(made.columns) == list(ships.columns) and len(made) == len(ships)
    for name in ("n_params", "n_tokens", "loss"):
        assert made[name].to_numpy() == pytest.approx(ships[name].to_numpy(), rel=1e-9)


@pytest.mark.parametrize(
    "form", [pytest.param("a frame", marks=pytest.mark.slow), "a file", "the simulator’s own"]
)
def test_a_simulated_table_that_is_brought_says_so(form, tmp_path):
    made = tables.simulate()
    file = tmp_path / "made.csv"
    made.to_csv(file, index=False)
    own = simulator({"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 410.0, "beta": 0.28}, 4.0, 1.0, 1.0)
    given = {"a frame": made, "a file": file, "the simulator’s own": own}[form]
    view = FitView(given)
    chosen = values(view)
    table = view.table(chosen)
    assert not table.real and named(table).startswith(f"Simulated: {table.title}; ")
    if form == "a frame":
        *_, picture = view.run(values(view, {"fit": {"resamples": 0}}), silent)
        assert "simulated" in picture.details
        assert "Simulated runs. " in str(picture.contents["said"])
    for truth in (False, "no", None):
        assert tables.opened(made.assign(simulated=truth)).real
    assert tables.opened(made.drop(columns="simulated")).real


def test_recorded_fits_are_of_the_tables_that_ship():
    sweep = tables.shipped_sweep()
    pages = [
        *((FitView(), method, "sweep", "chinchilla") for method in sweep.methods),
        *((FitView(), method, "sweep", REPEATED) for method in sweep.methods),
        *((FitView(), method, "simulated", "chinchilla") for method in tables.simulated().methods),
    ]
    for view, method, source, law in pages:
        given = {"runs": {"source": source, "by_name": method}, "fit": {"law": law}}
        assert view.known(values(view, given)), "python -m workbench.labs.scaling.record"
    compared = CompareView()
    for source in ("sweep", "simulated"):
        assert compared.known(values(compared, {"runs": {"source": source}}))
    assert len(recorded.records()) == len(pages) + 2


def test_sizes_count_the_embedding_or_not():
    runs = tables.simulated().runs
    shelf = Shelf(runs.assign(n_non_embedding=runs["n_params"] / 2))
    knobs = shelf.group().knobs
    every, body = (selected(shelf.first, knobs.parse({"size": size})) for size in ("all", "body"))
    assert (body.runs["n_params"] * 2 == every.runs["n_params"]).all()
    assert body.largest == pytest.approx(every.largest / 2)
    with pytest.raises(ValueError, match="needs column n_non_embedding"):
        selected(tables.simulated(), knobs.parse({"size": "body"}))


def test_runs_of_many_epochs_are_for_the_law_of_repeated_data():
    runs = tables.simulated().runs.head(45)
    runs = runs.assign(unique_tokens=[5e7] * 3 + [1e12] * 42)
    view = FitView(runs)
    assert len(view.chosen(values(view)).runs) == 42
    repeated = view.chosen(values(view, {"fit": {"law": "data-constrained"}}))
    assert len(repeated.runs) == 45
    (words,) = view.chosen(values(view)).left_out
    assert words == "3 above 4 epochs"
