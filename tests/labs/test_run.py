"""Runs of the lab on a tiny model: live points, copied code, the command, export, blind, record."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from tests.labs import tiny
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.labs import diffusion
from workbench.labs.command import compare as command
from workbench.labs.diffusion import blind_pairs, record, sampling_study
from workbench.labs.diffusion.details import details
from workbench.labs.diffusion.methods import sampling
from workbench.labs.diffusion.pictures import png
from workbench.labs.diffusion.recorded import recorded
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels import Panel
from workbench.panels.settings import accepted, start
from workbench.progress import silent
from workbench.study import Cancelled, compare

SMALL = {
    "sampling": {"steps": 8, "seeds": 8, "look": "Feature inheritance"},
    "feature_inheritance": {"interval": 4},
    "encoder_propagation": {"key_steps": "uniform", "interval": 4, "largest_group": 2},
    "fewer_steps": {"steps": 4},
}
METHODS = ["Full sampling", "Encoder propagation", "Feature inheritance", "Fewer steps"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One store for this file, so that no picture is sampled twice."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(place))
        yield place


@pytest.fixture
def tiny_ships(monkeypatch):
    """The tiny model in the place of the shipped one."""
    monkeypatch.setattr(sampling_study, "pipeline", lambda folder=None: tiny.pipeline())


@pytest.fixture(scope="module")
def finished(home):
    """A view after a run, its settings, and the pictures it handed out."""
    view = DiffusionView(pipeline=tiny.pipeline())
    values = accepted(view, start(view, SMALL))
    before = view.predict(values)
    return view, values, before, list(view.run(values, silent))


def rows(picture, slot="time_quality"):
    return picture.contents[slot].rows["live"]


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


def test_a_measured_point_loads_its_settings(finished):
    over = finished[0].load("FeatureInheritance(interval=4)")
    assert over["feature_inheritance"]["interval"] == 4
    assert over["sampling"] == {"look": "Feature inheritance"}


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


def test_copied_code_gives_the_same_table(home, finished, tiny_ships):
    view, values, *_ = finished
    text = diffusion.open(settings=SMALL).view.code(values)
    scope: dict = {}
    exec(compile(text.replace("compare(methods, study)", "compare(methods, study, repeats=0)"),
                 "copied", "exec"), scope)  # fmt: skip
    copied = scope["comparison"].tables.trials
    shown = view.comparison(values).tables.trials
    columns = ["trial_id", "method", "seed", *[c for c in shown if c.startswith("quality.")]]
    pd.testing.assert_frame_equal(copied[columns], shown[columns], rtol=1e-5)
    assert text.splitlines()[-1] == "comparison"


def test_copied_code_names_ones_own_model(home, tmp_path):
    own = diffusion.pipeline(tiny.write(tmp_path / "own"))
    view = DiffusionView(pipeline=own)
    values = accepted(view, start(view, SMALL))
    scope: dict = {}
    text = view.code(values)
    exec(compile(text.split("comparison = ")[0], "copied", "exec"), scope)
    assert scope["study"].subject.folder == own.folder
    assert scope["study"].subject.weights_hash == own.weights_hash


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


@pytest.mark.parametrize("kind", ["svg", "png", "pdf", "html", "csv", "json", "zip"])
def test_every_export_opens(finished, kind, tmp_path):
    from PIL import Image

    view, values, _, pictures = finished
    assert kind in [entry.kind for entry in view.exports] and len(view.exports) == 7
    name, content = view.export(kind, values, pictures[-1])
    assert name.endswith(f".{kind}")
    if kind == "svg":
        assert ElementTree.fromstring(content).tag.endswith("svg")
    elif kind == "png":
        picture = Image.open(io.BytesIO(content))
        picture.load()
        assert min(picture.size) > 300
    elif kind == "pdf":
        assert content.startswith(b"%PDF-") and b"%%EOF" in content[-64:]
    elif kind == "html":
        text = content.decode()
        assert 'src="http' not in text and 'href="http' not in text and "import(" not in text[:2000]
    elif kind == "csv":
        frame = pd.read_csv(io.BytesIO(content))
        shown = view.comparison(values).tables.trials
        assert list(frame["trial_id"]) == list(shown["trial_id"])
        np.testing.assert_allclose(frame["quality.ssim"], shown["quality.ssim"], rtol=1e-6)
    elif kind == "json":
        about = json.loads(content)
        assert about["panel"]["sampling"]["steps"] == 8 and about["versions"]["jax"]
        assert about["panel"]["feature_inheritance"]["interval"] == 4
    else:
        from workbench.figures.command import figure

        (tmp_path / name).write_bytes(content)
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.testzip() is None and len(archive.namelist()) >= 4
        assert figure(tmp_path / name, check=True) == 0


def test_exported_tables_are_those_of_the_picture_on_the_screen(home):
    """Neither a file nor the verdict beside the status belongs to another setting's run."""
    view = DiffusionView(pipeline=tiny.pipeline())
    one = accepted(view, start(view, SMALL))
    other = accepted(view, start(view, SMALL | {"feature_inheritance": {"interval": 2}}))
    first = list(view.run(one, silent))[-1]
    assert first.details and first.details[0].startswith("Noise floor")
    elsewhere = view.predict(other)
    assert elsewhere.basis == "predicted" and not elsewhere.details
    list(view.run(other, silent))
    back = view.predict(one)
    codes = {row["code"] for row in csv.DictReader(
        io.StringIO(view.export("csv", one, back)[1].decode()))}  # fmt: skip
    assert "FeatureInheritance(interval=4)" in codes
    assert back.details == first.details


def test_going_back_exports_and_opens_what_is_shown_again(home):
    """The files, the pins on them and the viewer follow the screen, not the last run."""
    panel = Panel(DiffusionView(pipeline=tiny.pipeline()), settings=SMALL, quiet=3600)
    sent: list[tuple[dict, list]] = []
    panel.send = lambda message, buffers=(): sent.append((message, list(buffers)))
    grids = {}
    for interval in (4, 2, 4):
        panel.load({"feature_inheritance": {"interval": interval}})
        if panel.status["kind"] != "cached":
            panel.run()
        assert panel.wait(240)
        again = grids.setdefault(interval, panel.picture.contents["grid"].rows)
        assert again is panel.picture.contents["grid"].rows
    assert panel.status["kind"] == "cached"
    panel._on_pin({})
    panel._on_load({"kind": "images", "key": "Feature inheritance|1"})
    assert panel.picture.contents["grid"].rows == grids[4] != grids[2]
    panel._on_export({"kind": "zip"})
    assert panel.wait(120)
    content = next(buffers[0] for message, buffers in sent if message["type"] == "file")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = {Path(name).name: archive.read(name).decode(errors="replace")
                  for name in archive.namelist()}  # fmt: skip
    drawn = list(csv.DictReader(io.StringIO(inside["rows.csv"])))
    ran = {row["code"] for row in csv.DictReader(io.StringIO(inside["trials.csv"]))}
    shown = panel._marked().contents["time_quality"].rows["live"]
    assert [row["trial_id"] for row in drawn] == [row["trial"] for row in shown]
    assert "FeatureInheritance(interval=4)" in ran
    assert "FeatureInheritance(interval=2)" not in ran
    assert (
        "FeatureInheritance(interval=4)" in inside["figure.toml"] and '"A"' in inside["figure.toml"]
    )
    panel.close()


def test_tables_of_a_recorded_answer(home):
    view = DiffusionView()
    values = accepted(view, start(view, None))
    picture = view.predict(values)
    frame = pd.read_csv(io.BytesIO(view.export("csv", values, picture)[1]))
    assert set(frame["code"]) == set(view.recorded.points)


def test_an_unknown_export_is_refused(finished):
    view, values, *_ = finished
    with pytest.raises(ValueError, match="no export of kind 'gif'"):
        view.export("gif", values, view.predict(values))


# -- the command ----------------------------------------------------------------------------


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
        (["sampling.sampler=euler"], "Sampler"),
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


# -- blind pairs ----------------------------------------------------------------------------


def blind_view(panel_settings=None):
    lab = DiffusionView()
    return blind_pairs.BlindView(lab, accepted(lab, start(lab, panel_settings)))


def test_blind_pairs_start_from_the_recorded_pictures_of_the_method_looked_at():
    view = blind_view({"sampling": {"look": "Feature inheritance"}})
    picture = view.predict(accepted(view, start(view, None)))
    content = picture.contents["pairs"]
    assert content.names == ("Full sampling", "Feature inheritance")
    assert picture.basis == "recorded" and len(content.pairs) == 8
    other = blind_view({"sampling": {"steps": 20}})
    panel = Panel(other)
    assert other.predict(panel.values) is None
    assert panel.status["text"] == "Nothing to show yet"
    assert panel.status["action"] == {"id": "run", "label": "Draw pairs"}
    panel.close()


def test_blind_pairs_take_model_method_and_settings_of_the_panel(home):
    lab = diffusion.open(
        [EncoderPropagation, FewerSteps],
        pipeline=tiny.pipeline(),
        settings={
            "sampling": {"steps": 8, "look": "Fewer steps", "guidance": 2.0},
            "fewer_steps": {"steps": 4},
        },
    )
    panel = diffusion.blind(lab)
    assert "DDIM 8, guidance 2" in panel.view.study_line
    panel.load({"pairs": {"first_seed": 300}})
    panel.run()
    assert panel.wait(200)
    assert panel.status["kind"] == "done", panel.status
    content = panel.picture.contents["pairs"]
    assert len(set(content.pairs)) == 20 and content.names == ("Full sampling", "Fewer steps")
    about = diffusion.study(tiny.pipeline(), steps=8, guidance=2.0, seeds=range(300, 320))
    found = compare([FullSampling(), FewerSteps(steps=4)], about, repeats=0)
    for side, name in (("first", "Full sampling"), ("second", "Fewer steps")):
        images = np.rint(255 * found.outputs[name]["image"]).astype(np.uint8)
        assert [getattr(pair, side) for pair in content.pairs] == [png(image) for image in images]
    for _ in range(20):
        panel._on_answer({"slot": "pairs", "side": "same"})
    verdict = panel.answers["pairs"]["verdict"]
    assert verdict.startswith("Fewer steps wins 50 % of 20 pairs against Full sampling (95 %")
    assert verdict.endswith("These pairs do not decide it.")
    lab.close()
    panel.close()


def test_the_blind_page_opens_again_from_its_code():
    view = blind_view({"encoder_propagation": {"key_steps": "uniform", "interval": 7}})
    values = accepted(view, start(view, {"pairs": {"rival": "Fewer steps"}}))
    given = {}
    exec(view.code(values).replace("diffusion.blind(", "panel = diffusion.blind("), given)
    again = given["panel"].view
    assert sampling(again.settings).look == "Fewer steps"
    assert [m.code() for m in again.methods.values()] == [m.code() for m in view.methods.values()]
    given["panel"].close()


def test_blind_pairs_need_a_panel_of_this_lab():
    other = Panel(blind_view())
    with pytest.raises(TypeError, match="not 'Blind comparison'"):
        diffusion.blind(other)
    other.close()


# -- recording ------------------------------------------------------------------------------


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
