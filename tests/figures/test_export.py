"""A figure leaves with its data, and comes back the same from its record."""

import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from workbench.figures import command, export, pareto, record
from workbench.figures.axes import Axis
from workbench.figures.chart import ChartError

ROWS = [
    {"trial_id": "a", "method": "Full", "t": 2.0, "q": 1, "label": "50", "predicted": False},
    {"trial_id": "b", "method": "Mine", "t": 0.1 + 0.2, "q": 0.9, "label": None, "predicted": True},
]


@pytest.fixture(scope="module")
def chart():
    time = Axis("t", "Time", "s", domain=(0, 3))
    return pareto(ROWS, time, "q", slots={"Full": 0, "Mine": 4}, pins={"a": "A"})


@pytest.fixture(scope="module")
def exported(chart, tmp_path_factory):
    settings = {"Mine": {"interval": 5, "note": None, "lists": (1, 2)}}
    place = tmp_path_factory.mktemp("exported") / "figure"
    return export.export_figure(chart, {"trials": ROWS}, settings, place)


@pytest.fixture
def folder(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "figure"))


def test_pictures_are_what_they_say(chart, tmp_path):
    heads = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}
    for ending, head in heads.items():
        file = export.write(chart, tmp_path / f"figure.{ending}")
        assert file.read_bytes().lstrip().startswith(head), ending
    with pytest.raises(ChartError, match=r"figure\.gif: the ending must be"):
        export.write(chart, tmp_path / "figure.gif")


def test_svg_has_colours_title_and_no_variable(chart):
    text = export.svg(chart, "dark")
    assert "What does each saving cost?" in text
    assert "#7f59e0" in text and "var(" not in text


def test_page_loads_nothing(chart):
    page = export.html(chart)
    assert not re.search(r"<(script|link)\b[^>]*\b(src|href)=", page)
    assert len(page) > 500_000 and "What does each saving cost?" in page


def test_csv_writes_floats_exactly():
    assert export.csv_text(ROWS).splitlines()[2] == "b,Mine,0.30000000000000004,0.9,,true"


def test_record_holds_settings_and_fingerprints(folder):
    content = tomllib.loads((folder / "figure.toml").read_text())
    assert content["settings"] == {"Mine": {"interval": 5, "lists": [1, 2]}}
    assert content["figure"]["form"] == "pareto"
    assert content["arguments"]["slots"] == {"Full": 0, "Mine": 4}
    assert set(content["pictures"]) == {"figure.svg", "figure.png", "figure.pdf"}
    assert len(content["tables"]["trials"]["sha256"]) == 64


def test_what_a_field_keeps_lies_beside_the_record(chart, tmp_path, capsys):
    records = {"fit": {"law": "a", "draws": [[0.1 + 0.2, 1.0]]}}
    folder = export.export_figure(chart, None, {}, tmp_path / "figure", records=records)
    assert json.loads((folder / "fit.json").read_text(encoding="utf-8")) == records["fit"]
    assert set(record.read(folder / "figure.toml")["records"]) == {"fit"}
    assert command.figure(folder, check=True) == command.SAME
    assert "Record fit is as written" in capsys.readouterr().out
    (folder / "fit.json").write_text("{}", encoding="utf-8")
    assert command.figure(folder, check=True) == command.BROKEN
    with pytest.raises(ChartError, match="a record's name"):
        export.export_figure(chart, None, {}, tmp_path / "other", records={"a b": 1})


def test_rows_come_back_as_they_were(folder):
    assert record.rows(folder, record.read(folder / "figure.toml")) == ROWS


def test_same_picture_from_the_record(folder, capsys):
    assert command.figure(folder / "figure.toml", check=True) == command.SAME
    assert "Same picture" in capsys.readouterr().out


def test_zip_is_checked_and_drawn(chart, tmp_path):
    file = export.export_figure(chart, destination=tmp_path / "one.zip")
    assert "one/figure.toml" in zipfile.ZipFile(file).namelist()
    assert command.figure(file, check=True, out=tmp_path / "out") == command.SAME
    assert (tmp_path / "out" / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_changed_rows_are_told(folder, capsys):
    file = folder / "rows.csv"
    file.write_text(file.read_text().replace("0.9", "0.8"))
    assert command.figure(folder, check=True) == command.BROKEN
    assert "rows.csv was changed after figure.toml was written" in capsys.readouterr().err


def test_changed_arguments_give_another_picture(folder, capsys):
    file = folder / "figure.toml"
    file.write_text(file.read_text().replace("Mine = 4", "Mine = 5"))
    assert command.figure(folder, check=True) == command.DIFFERENT
    assert "picture differs" in capsys.readouterr().out


def test_other_versions_decide_nothing(folder, capsys):
    file = folder / "figure.toml"
    text = file.read_text().replace("Mine = 4", "Mine = 5")
    file.write_text(re.sub(r'altair = ".*"', 'altair = "5.0.0"', text))
    assert command.figure(folder, check=True) == command.OTHER_VERSIONS
    assert "altair 5.0.0, here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('form = "pareto"', 'form = "pie"', "chart form 'pie' is not one of bars"),
        ("format = 1", "format = 9", "format 9 is not 1"),
        ("[versions]", "[other]", 'part "versions" is missing'),
        ('file = "rows.csv"', 'file = "../rows.csv"', "names only files beside it"),
        ('title = "What', "title = What", "cannot be read"),
        ("height = 208", "hight = 208", "arguments do not fit pareto"),
        ('column = "t"', 'kolumn = "t"', "arguments do not fit pareto"),
    ],
)
def test_broken_record_is_told_in_words(folder, capsys, old, new, said):
    file = folder / "figure.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert command.figure(folder, check=True) == command.BROKEN
    assert said in capsys.readouterr().err


def test_missing_record_and_broken_zip(tmp_path, capsys):
    assert command.figure(tmp_path / "figure.toml") == command.BROKEN
    (tmp_path / "a.zip").write_text("no zip")
    assert command.figure(tmp_path / "a.zip") == command.BROKEN
    assert "a.zip cannot be opened" in capsys.readouterr().err


def test_table_name_must_be_a_file_name(chart, tmp_path):
    with pytest.raises(ChartError, match="table's name"):
        export.export_figure(chart, {"../x": ROWS}, destination=tmp_path / "f")
