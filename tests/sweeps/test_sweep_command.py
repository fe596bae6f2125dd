"""`python -m workbench sweep`: runs, looks, and says what is wrong."""

import json
from pathlib import Path

import pytest

from workbench.sweeps.command import command, look, run

MODULE = """
def half(settings):
    if settings["x"] < 0:
        raise ValueError("below zero")
    return {"half": settings["x"] / 2}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "swept.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "grid.json").write_text(json.dumps({"x": [4, 6]}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_sweep_and_a_look(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, grid = folder / "store", folder / "grid.json"
    assert run("swept:half", grid, "halves", store=store, processes=1) == 0
    shown = capsys.readouterr().out
    assert "halves: 2 of 2 finished" in shown and " 2 " in shown and " 3 " in shown
    assert look("halves", store=store) == 0
    assert capsys.readouterr().out == shown
    assert look("halves", "stop", store=store) == 0
    grid.write_text(json.dumps([{"x": -1}]), encoding="utf-8")
    assert run("swept:half", grid, "halves", store=store) == 1
    assert "ValueError: below zero" in capsys.readouterr().out


def test_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = folder / "grid.json"
    broken = folder / "broken.json"
    broken.write_text("{", encoding="utf-8")
    for function, file, options, words in [
        ("swept", grid, {}, "write module:function"),
        ("swept:third", grid, {}, "swept has no third"),
        ("nowhere:half", grid, {}, "No module named 'nowhere'"),
        ("swept:half", folder / "none.json", {}, "none.json"),
        ("swept:half", broken, {}, "broken.json: Expecting"),
        ("swept:half", grid, {"processes": 1, "dask": "tcp://x"}, "not both"),
    ]:
        assert run(function, file, "s", store=folder / "store", **options) == 2
        assert words in capsys.readouterr().err
    assert look("none", store=folder / "store") == 2
    assert "study 'none': there is none" in capsys.readouterr().err
    nothing = {"pause": False, "go": False, "stop": False}
    assert command(None, None, None, **nothing) == 2
    assert command(None, None, "s", **{**nothing, "pause": True, "go": True}) == 2
    assert "give a function and a grid" in capsys.readouterr().err
