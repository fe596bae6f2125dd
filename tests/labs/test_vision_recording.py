"""Commands that record: what they say they were, on one core, and nothing written unasked."""

import json
import os
import sys

import pytest

from workbench.labs.vision import group_size_record, record
from workbench.labs.vision.recording import card, kept_to, typed
from workbench.measure.roofline import Peaks
from workbench.vision import latency
from workbench.vision.efficiency.timed import GroupTimed

HERE = Peaks("test", {"float32": 100e9}, 10e9, "measured 2026-01-02: made for a test")


def test_a_command_is_kept_as_it_was_typed_without_places_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["record.py", "--repeats", "5", "--threads", "one"])
    assert typed("a.record") == "python -m a.record --repeats 5 --threads one"
    assert card(typed("a.record"))["command"].endswith("--repeats 5 --threads one")
    given = ["--out", str(tmp_path / "vision-lab"), "--only", "two words"]
    assert typed("a.record", given) == "python -m a.record --out vision-lab --only 'two words'"
    assert typed("a.record", ["--out", "data/vision-lab"]).endswith("--out data/vision-lab")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not chosen here")
def test_one_thread_is_one_core_and_the_processors_clock(monkeypatch):
    cores = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, chosen: cores.append(chosen))
    assert kept_to("all") == "wall" and cores == []
    assert kept_to("one") == "processor" and cores == [{max(os.sched_getaffinity(0))}]


@pytest.fixture
def groups(monkeypatch):
    rows = [GroupTimed(56, 64, 8, size, 1.0, 1.0, 1.0, 3) for size in (1, 8, 64)]
    monkeypatch.setattr(latency, "time_groups", lambda **how: rows)
    monkeypatch.setattr(record, "rates", lambda clock: HERE)
    return rows


def test_groups_are_printed_and_written_where_a_folder_is_named(
    groups, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    assert record.main(["--only", "groups", "--repeats", "3"]) == 0
    assert "8 x 56 x 56 x 64" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert record.main(["--only", "groups", "--repeats", "3", "--out", "lab"]) == 0
    found = json.loads((tmp_path / "lab" / "groups.json").read_text(encoding="utf-8"))
    assert found["command"] == f"python -m {record.MODULE} --only groups --repeats 3 --out lab"
    assert found["clock"] == "wall clock" and found["peaks"]["flops_per_s"]["float32"] == 100e9
    assert len((tmp_path / "lab" / "groups.csv").read_text().splitlines()) == 1 + len(groups)


def test_times_of_group_sizes_carry_their_whole_command(monkeypatch, tmp_path):
    monkeypatch.setattr(group_size_record, "NAMES", {})
    pinned = []
    monkeypatch.setattr(group_size_record, "kept_to", pinned.append)
    monkeypatch.setattr(group_size_record, "keep_compiled", lambda: None)
    assert group_size_record.main(["--threads", "one", "--out", str(tmp_path / "sizes")]) == 0
    about = json.loads((tmp_path / "sizes" / group_size_record.TIMES).read_text(encoding="utf-8"))
    assert pinned == ["one"] and about["networks"] == {}
    assert about["command"].endswith("group_size_record --threads one --out sizes")
