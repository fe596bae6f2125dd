"""The working copy of the notebooks: refreshed, and never at the cost of a person's work."""

import json

import pytest

from workbench.launch import notebooks


def notebook(*sources, outputs=()):
    cells = [
        {
            "cell_type": "code",
            "source": source,
            "metadata": {},
            "outputs": list(outputs),
            "execution_count": 3 if outputs else None,
        }
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


RAN = {"output_type": "stream", "name": "stdout", "text": "2"}


@pytest.fixture
def places(tmp_path):
    source, folder = tmp_path / "shipped", tmp_path / "mine"
    (source / "parts").mkdir(parents=True)
    (source / "start.ipynb").write_text(notebook("1 + 1"), encoding="utf-8")
    (source / "parts" / "note.md").write_text("one", encoding="utf-8")
    (source / ".ipynb_checkpoints").mkdir()
    (source / ".ipynb_checkpoints" / "old.ipynb").write_text("{}", encoding="utf-8")
    return source, folder


def test_first_copy_and_nothing_to_do_after(places):
    source, folder = places
    assert notebooks.refresh(folder, source).copied == ["parts/note.md", "start.ipynb"]
    assert not (folder / ".ipynb_checkpoints").exists()
    again = notebooks.refresh(folder, source)
    assert (again.copied, again.kept_aside) == ([], {})


def test_changed_copy_stays_while_the_shipped_one_is_the_same(places):
    source, folder = places
    notebooks.refresh(folder, source)
    (folder / "start.ipynb").write_text(notebook("mine"), encoding="utf-8")
    assert notebooks.refresh(folder, source).copied == []
    assert "mine" in (folder / "start.ipynb").read_text(encoding="utf-8")


def test_new_shipped_one_replaces_a_copy_that_only_ran(places):
    source, folder = places
    notebooks.refresh(folder, source)
    (folder / "start.ipynb").write_text(notebook("1 + 1", outputs=[RAN]), encoding="utf-8")
    (source / "start.ipynb").write_text(notebook("2 + 2"), encoding="utf-8")
    done = notebooks.refresh(folder, source)
    assert (done.copied, done.kept_aside) == (["start.ipynb"], {})
    assert "2 + 2" in (folder / "start.ipynb").read_text(encoding="utf-8")


def test_new_shipped_one_puts_a_changed_copy_aside_each_time(places):
    source, folder = places
    notebooks.refresh(folder, source)
    for number in (1, 2):
        (folder / "start.ipynb").write_text(notebook(f"mine {number}"), encoding="utf-8")
        (source / "start.ipynb").write_text(notebook(f"new {number}"), encoding="utf-8")
        done = notebooks.refresh(folder, source)
        aside = f"start.yours-{number}.ipynb"
        assert done.kept_aside == {"start.ipynb": aside}
        assert f"mine {number}" in (folder / aside).read_text(encoding="utf-8")
        assert f"new {number}" in (folder / "start.ipynb").read_text(encoding="utf-8")


def test_file_of_the_same_name_made_by_its_owner_is_kept(places):
    source, folder = places
    folder.mkdir()
    (folder / "start.ipynb").write_text("not even a notebook", encoding="utf-8")
    done = notebooks.refresh(folder, source)
    assert done.kept_aside == {"start.ipynb": "start.yours-1.ipynb"}
    kept = (folder / "start.yours-1.ipynb").read_text(encoding="utf-8")
    assert kept == "not even a notebook"


def test_broken_record_loses_nothing(places):
    source, folder = places
    notebooks.refresh(folder, source)
    (folder / notebooks.RECORD).write_text("{", encoding="utf-8")
    (folder / "start.ipynb").write_text(notebook("mine"), encoding="utf-8")
    notebooks.refresh(folder, source)
    assert any("mine" in file.read_text(encoding="utf-8") for file in folder.glob("*.ipynb"))


def test_deleted_copy_comes_back(places):
    source, folder = places
    notebooks.refresh(folder, source)
    (folder / "start.ipynb").unlink()
    assert notebooks.refresh(folder, source).copied == ["start.ipynb"]


def test_cleaning_removes_outputs_and_nothing_else(places):
    source, _ = places
    dirty = json.loads(notebook("1 + 1", outputs=[RAN]))
    dirty["metadata"]["widgets"] = {"state": {}}
    (source / "start.ipynb").write_text(json.dumps(dirty), encoding="utf-8")
    assert notebooks.clean(source) == [source / "start.ipynb"]
    cleaned = json.loads((source / "start.ipynb").read_text(encoding="utf-8"))
    assert cleaned == json.loads(notebook("1 + 1"))
    assert notebooks.clean(source) == []
