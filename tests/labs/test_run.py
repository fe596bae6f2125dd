"""Runs of the lab on a tiny model: live points, copied code, the command, the record."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.labs import small_text_model, tiny
from tests.labs.tiny import SMALL
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.labs import diffusion
from workbench.labs.command import compare as command
from workbench.labs.diffusion import blind_pairs, record
from workbench.labs.diffusion.details import details
from workbench.labs.diffusion.own_networks import OwnNetworks
from workbench.labs.diffusion.recorded import recorded
from workbench.labs.diffusion.view import DiffusionView
from workbench.measure.roofline import H100
from workbench.panels.settings import accepted, start
from workbench.progress import silent
from workbench.study import Cancelled, compare

METHODS = ["Full sampling", "Encoder propagation", "Feature inheritance", "Fewer steps"]


def rows(picture, slot="time_quality"):
    return picture.contents[slot].rows["live"]


@pytest.mark.slow
def test_points_fill_one_method_after_another(finished):
    view, values, before, pictures = finished
    assert before.basis == "predicted" and "grid" not in before.contents
    shown = [len(picture.contents["grid"].rows) for picture in pictures[:4]]
    assert shown == [1, 2, 3, 4]
    last = pictures[-1]
    assert last.basis == "measured" and {row["method"] for row in rows(last)} >= set(METHODS[1:3])
    assert rows(last) and not any(row["predicted"] for row in rows(last))
    for row in rows(last):
        assert row["x_low"] <= row["x"] <= row["x_high"] and np.isfinite(row["y"])
    assert last.device and last.when == ""
    (line,) = [cells for cells in last.contents["scoreboard"].rows if cells[0].text == METHODS[2]]
    assert all(cell.basis == "measured" for cell in line if not isinstance(cell, str))
    again = view.predict(values)
    assert again.basis == "measured" and rows(again) == rows(last)


@pytest.mark.slow
def test_a_measured_point_loads_its_settings(finished):
    over = finished[0].load("FeatureInheritance(interval=4)")
    assert over["feature_inheritance"]["interval"] == 4
    assert over["sampling"] == {"look": "Feature inheritance"}


@pytest.mark.slow
def test_a_run_stops_between_groups_and_keeps_what_was_done(home):
    view = DiffusionView(pipeline=tiny.pipeline())
    values = accepted(view, start(view, SMALL | {"sampling": {"steps": 9, "seeds": 24}}))
    calls = []

    def report(done, total, note="", preview=None):
        calls.append(done / total)
        if len(calls) == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(view.run(values, report))
    assert calls == sorted(calls) and calls[-1] < 1
    assert view.predict(values).contents["time_quality"]


@pytest.mark.slow
def test_a_users_method_runs_beside_the_others(home):
    from tests.labs.test_view import EveryOther

    view = DiffusionView([*diffusion.DEFAULT, EveryOther], tiny.pipeline())
    settings = SMALL | {"sampling": SMALL["sampling"] | {"look": EveryOther.name}}
    *_, last = view.run(accepted(view, start(view, settings)), silent)
    (row,) = [row for row in rows(last) if row["key"] == "EveryOther()"]
    assert (
        not row["predicted"] and np.isfinite(row["y"]) and row["slot"] == view.slots[row["method"]]
    )
    assert [line.label for line in last.contents["grid"].rows] == [*METHODS, EveryOther.name]


@pytest.mark.slow
def test_copied_code_gives_the_same_table(home, finished, tiny_ships):
    view, values, *_ = finished
    text = diffusion.open(settings=SMALL).view.code(values)
    scope: dict = {}
    exec(compile(text, "copied", "exec"), scope)
    ran, known = scope["comparison"], view.comparison(values)
    copied, shown = ran.tables.trials, known.tables.trials
    # Pictures the panel recalls were compiled by an earlier run, so their first call is not timed.
    assert set(shown) <= set(copied) <= {*shown, "cost.compile"}
    counted = [name for name, about in known.tables.columns.items() if about.basis == "modelled"]
    assert {"cost.macs", "cost.macs_no_bmm", "cost.cache_bytes"} <= set(counted)
    pd.testing.assert_frame_equal(copied[counted], shown[counted], rtol=0)
    assert ran.rounds == known.rounds == 5 and list(copied["peaks"]) == list(shown["peaks"])
    columns = ["trial_id", "method", "seed", *[c for c in shown if c.startswith("quality.")]]
    pd.testing.assert_frame_equal(copied[columns], shown[columns], rtol=1e-5)
    assert text.splitlines()[-1] == "comparison"


def test_copied_code_has_the_peaks_and_networks_that_were_given(home):
    peaks = H100.replace(flops_per_s={"float32": 1e12}, source="for this test")
    networks = OwnNetworks(clip=object(), files={"clip": "my-clip"})
    view = DiffusionView(peaks=peaks, networks=networks)
    text = view.code(accepted(view, start(view, SMALL)))
    (line,) = [line for line in text.splitlines() if line.startswith("networks = ")]
    assert line == "networks = diffusion.OwnNetworks.load(clip='my-clip')"
    scope: dict = {}
    given = text.partition("peaks = ")[2].partition("study = ")[0]
    exec("from workbench.measure.roofline import Peaks\npeaks = " + given, scope)
    assert scope["peaks"] == peaks and "from workbench.measure.roofline import Peaks" in text
    assert ", networks=networks)" in text and "repeats=5, peaks=peaks)" in text
    view.networks = OwnNetworks(clip=object())
    assert "bind `networks` to what networks= was" in view.code(
        accepted(view, start(view, SMALL)))  # fmt: skip


def test_copied_code_of_a_recorded_answer_has_its_rounds_and_its_memory():
    view = DiffusionView()
    text = view.code(accepted(view, start(view, None)))
    assert ", memory=True)" in text and "repeats=7)" in text


@pytest.mark.slow
def test_copied_code_names_ones_own_model(home, tmp_path):
    own = diffusion.pipeline(tiny.write(tmp_path / "own"))
    view = DiffusionView(pipeline=own)
    values = accepted(view, start(view, SMALL))
    scope: dict = {}
    text = view.code(values)
    exec(compile(text.split("comparison = ")[0], "copied", "exec"), scope)
    assert scope["study"].subject.folder == own.folder
    assert scope["study"].subject.weights_hash == own.weights_hash


@pytest.mark.slow
def test_copied_code_and_memory_name_a_model_of_prompts_as_it_is(home, tmp_path):
    folder = small_text_model.write(tmp_path / "text")
    own = diffusion.pipeline(
        folder, dtype="bfloat16", prompts=["a cat", "a dog"], negative="red", size=(16, 32)
    )
    view = DiffusionView(pipeline=own)
    scope: dict = {}
    text = view.code(accepted(view, start(view, SMALL)))
    exec(compile(text.split("comparison = ")[0], "copied", "exec"), scope)
    again = scope["study"].subject
    assert again.fingerprint == view._study(accepted(view, start(view, SMALL))).subject.fingerprint
    weighed = diffusion.study(own, memory=True).peak.keywords["settings"]["model"]
    assert diffusion.pipeline(**weighed).fingerprint == own.fingerprint


@pytest.mark.slow
def test_copied_code_says_what_to_bind_for_a_model_in_memory(home):
    own = replace(tiny.pipeline(), weights_hash="changed by hand")
    for view in (DiffusionView(pipeline=own), blind_pairs.BlindView(
        DiffusionView(pipeline=own), accepted(DiffusionView(), start(DiffusionView(), SMALL))
    )):  # fmt: skip
        text = view.code(accepted(view, start(view, None)))
        assert "bind `model` to what pipeline= was" in text
        scope: dict = {"model": own}
        runs = text.split("comparison = ")[0].replace(
            "diffusion.blind(", "panel = diffusion.blind("
        )
        exec(compile(runs, "copied", "exec"), scope)
        found = scope["panel"].view.lab.pipeline if "panel" in scope else scope["study"].subject
        assert found.weights_hash == own.weights_hash
        if "panel" in scope:
            scope["panel"].close()


def test_memory_of_a_model_in_memory_is_not_that_of_another(home, monkeypatch):
    from workbench.measure import memory

    def started(*given, **more):
        raise AssertionError("no process can load a model that no folder holds")

    monkeypatch.setattr(memory, "peak_in_fresh_process", started)
    shipped_one = diffusion.pipeline()
    pruned = replace(shipped_one, weights_hash="pruned")
    for own in (pruned, replace(pruned, folder="")):
        assert diffusion.study(own, memory=True).peak(FullSampling()) is None
    with pytest.raises(AssertionError, match="no folder holds"):
        diffusion.study(shipped_one, memory=True).peak(FullSampling())


# -- the command ----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_makes_the_panels_tables(home, finished, tiny_ships, tmp_path, capsys):
    from workbench.study import Tables

    view, values, *_ = finished
    copied = tmp_path / "settings.json"
    copied.write_text(json.dumps(SMALL))
    assert command("diffusion", settings=copied, repeats=0, out=tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "quality.ssim" in out and f"Tables in {tmp_path / 'out'}" in out
    written = Tables.load(tmp_path / "out").trials
    shown = view.comparison(values).tables.trials
    assert list(written["trial_id"]) == list(shown["trial_id"])
    np.testing.assert_allclose(written["quality.ssim"], shown["quality.ssim"], rtol=1e-5)


@pytest.mark.slow
def test_the_command_takes_single_changes(home, tiny_ships, capsys):
    changes = ["sampling.steps=8", "sampling.seeds=8", "feature_inheritance.interval=4",
               "encoder_propagation.key_steps=uniform", "encoder_propagation.largest_group=2",
               "fewer_steps.steps=4"]  # fmt: skip
    assert command("diffusion", changes=changes, repeats=3) == 0
    out = capsys.readouterr().out
    assert "cost.latency" in out and "× the speed of Full sampling" in out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["sampling.steps=2"], "Steps must be between 6 and 200. You gave 2"),
        (["sampling.steps"], "write group.knob=value"),
        (["steps=8"], "write group.knob=value"),
        (["sampling.step=8"], "has no knob 'step'"),
        (["sampler.steps=8"], "There is no group 'sampler'"),
        (["sampling.sampler=heun"], "Sampler"),
        (["encoder_propagation.key_steps=custom", "encoder_propagation.custom_steps=[3]",
          "sampling.steps=8", "sampling.seeds=8"], "Step 0 must run in full"),
    ],
)  # fmt: skip
def test_bad_settings_end_the_command_with_one_line(tiny_ships, changes, words, capsys):
    assert command("diffusion", changes=changes, repeats=0) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip() and "|" not in line]
    assert len(lines) == 1 and words in lines[0]
    assert "quality" not in captured.out


def test_a_missing_settings_file_and_an_unknown_lab(tmp_path, capsys):
    assert command("diffusion", settings=tmp_path / "none.json") == 2
    assert "none.json" in capsys.readouterr().err
    assert command("chemistry") == 2
    assert capsys.readouterr().err == "There is no lab 'chemistry'; there is diffusion\n"


# -- recording ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_recorded_study_is_read_back(home, tmp_path):
    subject = tiny.pipeline().with_sampling(sampler="ddim", steps=8, guidance=2.0)
    methods = [FullSampling(), FeatureInheritance(interval=4), FewerSteps(steps=4)]
    about = diffusion.study(tiny.pipeline(), steps=8, seeds=8)
    found = compare(methods, about, repeats=3)
    record.record(tmp_path, found, methods, subject)
    back = recorded(str(tmp_path))
    assert set(back.points) == {method.code() for method in methods}
    for code, point in back.points.items():
        rows = found.tables.trials[found.tables.trials["code"] == code]
        assert point.ssim == pytest.approx(rows["quality.ssim"].mean())
        assert point.seconds.value == pytest.approx(rows["cost.latency"].iloc[0])
        image = found.outputs[point.method]["image"][:8]
        assert np.abs(back.pictures[code] / 255 - image).max() <= 0.5 / 255 + 1e-6
    assert back.drift.shape == (len(back.facts.blocks), 8)
    assert back.knobs["FeatureInheritance(interval=4)"]["feature_inheritance"]["interval"] == 4
    assert back.seeds == 8 and back.device


# -- what it cost ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_table_tells_use_of_the_device_and_why_there_is_no_energy(home, finished):
    from workbench.figures import numbers

    view, values, before, pictures = finished
    trials = view.comparison(values).tables.trials
    table = pictures[-1].contents["scoreboard"]
    labels = [column.label for column in table.columns]
    assert "Of peak" in labels and "Energy" not in labels, "no sensor here, so no energy"
    assert "Of peak" not in [c.label for c in before.contents["scoreboard"].columns]
    for method, cells in zip(METHODS, table.rows, strict=True):
        row = trials[trials["method"].str.startswith(method)].iloc[0]
        assert cells[labels.index("Of peak")].text == numbers.percent(
            row["cost.compute_utilisation"]
        )
    rates, _, source = trials["peaks"].iloc[0].partition(";")
    assert f"against {rates}." in table.subtitle and source.startswith(" measured 20")
    assert "No energy: " in table.subtitle


@pytest.mark.slow
def test_compiling_is_told_of_a_run_here_and_never_of_a_recorded_one(finished):
    view, values, *_ = finished
    ran = view.comparison(values)
    trials = ran.tables.trials.assign(**{"cost.compile": 2.0})
    slow = replace(ran, tables=replace(ran.tables, trials=trials))
    noise, compiling = details(slow, slow)
    assert noise.startswith("Noise floor ") and compiling == "Compiling took 8 s"
    assert details(slow, None) == [noise] and details(None, None) == []
    quick = replace(ran, tables=replace(ran.tables, trials=trials.assign(**{"cost.compile": 0.1})))
    assert details(quick, quick) == [noise]


def test_a_model_of_ones_own_is_sampled_as_it_is_where_nothing_is_asked(home):
    own = tiny.pipeline().with_sampling(sampler="euler", steps=7, guidance=3.0)
    about = diffusion.study(own)
    assert about.subject.fingerprint == own.fingerprint and about.name == f"{own.name}, 7 steps"
    for panel in (diffusion.open(pipeline=own), diffusion.plan_editor(own)):
        shown = panel.settings["sampling"]
        assert (shown["sampler"], shown["steps"], shown["guidance"]) == ("euler", 7, 3.0)
        panel.close()
    shipped_one = diffusion.study().subject
    assert type(shipped_one.scheduler).__name__ == "DDIM"
    assert (shipped_one.steps, shipped_one.guidance) == (50, 1.5)
