"""Files of the lab's export menu: they open, and hold what is on the screen."""

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from tests.labs import tiny
from tests.labs.tiny import SMALL
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels import Panel
from workbench.panels.settings import accepted, start
from workbench.progress import silent

pytestmark = [pytest.mark.slow, pytest.mark.long]
"""A whole run of the lab goes before."""


@pytest.mark.parametrize("kind", ["svg", "png", "pdf", "html", "csv", "json", "zip"])
def test_every_export_opens(finished, kind, tmp_path):
    from PIL import Image

    view, values, _, pictures = finished
    assert kind in [entry.kind for entry in view.exports]
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


@pytest.mark.parametrize("slot", ["drift", "arithmetic", "error", "spectrum"])
def test_every_chart_leaves_with_its_data_and_is_drawn_again(finished, slot, tmp_path):
    from workbench.figures.command import figure

    view, values, _, pictures = finished
    name, content = view.export(f"zip {slot}", values, pictures[-1])
    (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / name) as archive:
        inside = {Path(file).name: archive.read(file).decode(errors="replace")
                  for file in archive.namelist()}  # fmt: skip
    assert pictures[-1].contents[slot].title in inside["figure.toml"]
    assert {"figure.svg", "figure.png", "figure.pdf", "scoreboard.csv"} <= set(inside)
    assert figure(tmp_path / name, check=True) == 0
    (tmp_path / "apart").mkdir()
    with zipfile.ZipFile(tmp_path / name) as archive:
        archive.extractall(tmp_path / "apart")
    (rows,) = (tmp_path / "apart").glob("*/scoreboard.csv")
    rows.write_text(rows.read_text().replace("Full sampling", "Half sampling"))
    assert figure(rows.parent, check=True) == 2


def test_every_slot_of_the_panel_is_on_the_menu_once(finished):
    view = finished[0]
    kinds = [entry.kind for entry in view.exports]
    slots = {slot.id for row in view.layout for slot in row} - {"time_quality", "split", "verdicts"}
    assert len(kinds) == len(set(kinds)) == 7 + len(slots)
    assert {kind.partition(" ")[2] for kind in kinds} - {""} == slots


def test_the_scoreboard_leaves_as_it_is_shown(finished):
    view, values, _, pictures = finished
    name, content = view.export("csv scoreboard", values, pictures[-1])
    lines = list(csv.DictReader(io.StringIO(content.decode())))
    table = pictures[-1].contents["scoreboard"]
    assert name.endswith("-scoreboard.csv")
    assert [line["Method"] for line in lines] == [row[0].text for row in table.rows]
    ssim = [column.label for column in table.columns].index("SSIM")
    assert all(
        line["SSIM"].startswith(row[ssim].text) for line, row in zip(lines, table.rows, strict=True)
    )
    assert any("±" in line["SSIM"] for line in lines[1:])


def test_the_image_grid_leaves_as_one_picture_with_its_settings(finished, tmp_path):
    from PIL import Image

    from workbench.labs.diffusion.picture_files import settings_in
    from workbench.labs.diffusion.picture_sheet import GAP, LINE, MARGIN, NAMES

    view, values, before, pictures = finished
    name, content = view.export("png grid", values, pictures[-1])
    (tmp_path / name).write_bytes(content)
    assert settings_in(tmp_path / name)["panel"]["sampling"]["steps"] == 8
    grid = pictures[-1].contents["grid"]
    sheet = np.asarray(Image.open(tmp_path / name))
    for place, row in enumerate(grid.rows):  # the second picture of each, enlarged 6 times
        top, left = MARGIN + 2 * LINE + place * (96 + GAP), MARGIN + NAMES + 96 + GAP
        shown = np.asarray(Image.open(io.BytesIO(row.images[1].png)).convert("RGB"))
        np.testing.assert_array_equal(
            sheet[top + 3 : top + 96 : 6, left + 3 : left + 96 : 6], shown
        )
    with pytest.raises(ValueError, match="no pictures of these settings yet"):
        view.export("png grid", values, before)


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


@pytest.mark.slow
@pytest.mark.long
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
