"""Latencies: what is timed, at which shapes, under which names, and how tables keep them."""

import pytest

from tests.vision.answers import CONVNEXT, MOBILE
from workbench.measure.roofline import Peaks
from workbench.progress import Cancelled
from workbench.vision import latency
from workbench.vision.efficiency import recorded
from workbench.vision.efficiency.counting import layers_of
from workbench.vision.efficiency.timed import GroupTimed, Timed


@pytest.fixture(scope="module", autouse=True)
def soon():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "LEAST", 0.0)
        yield


@pytest.fixture(scope="module")
def mobile():
    return latency.ready(MOBILE)


def test_networks_take_turns(mobile):
    rows = latency.time_networks(
        {"mobile": mobile, "convnext": latency.ready(CONVNEXT)}, batch=2, pixels=16, repeats=2
    )
    assert [(row.network, row.batch, row.pixels, row.part, row.name) for row in rows] == [
        ("mobile", 2, 16, "network", "mobile"),
        ("convnext", 2, 16, "network", "convnext"),
    ]
    assert all(0 < row.low <= row.median <= row.high and row.repeats == 2 for row in rows)


@pytest.mark.parametrize("part", ["layer", "block"])
def test_every_part_has_a_row_and_equal_ones_are_timed_once(mobile, part, monkeypatch):
    given = {}
    timed = latency.interleaved

    def counted(calls, **more):
        given.update(calls)
        return timed(calls, **more)

    monkeypatch.setattr(latency, "interleaved", counted)
    rows = latency.time_parts("mobile", mobile, part=part, pixels=16, repeats=2)
    layers = layers_of(MOBILE, size=16)
    names = [x.name for x in layers] if part == "layer" else [x.block for x in layers if x.block]
    assert [row.name for row in rows] == list(dict.fromkeys(names))
    assert {row.part for row in rows} == {part}
    by_name = {row.name: row for row in rows}
    # Two equal blocks follow each other in the last stage.
    one, two = ("blocks.2.0", "blocks.2.1")
    if part == "layer":
        one, two = f"{one}.conv_pwl", f"{two}.conv_pwl"
    assert by_name[one].median == by_name[two].median
    assert len(given) < len(rows)


def test_groups_go_from_depthwise_to_dense():
    rows = latency.time_groups(batch=1, shapes=[(4, 16)], sizes=(1, 8, 12, 32), repeats=2)
    assert [row.group_size for row in rows] == [1, 8, 16]
    assert rows[1].operations == 2 * 4 * 4 * 16 * 8 * 9


def test_a_report_stops_it(mobile):
    def stop(done, total, note="", preview=None):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        latency.time_networks({"mobile": mobile}, pixels=16, report=stop)


def test_bad_values_are_named(mobile):
    with pytest.raises(ValueError, match="batch=0 must be at least 1"):
        latency.time_networks({"mobile": mobile}, batch=0)
    with pytest.raises(ValueError, match="multiples of 8, such as 16 x 16"):
        latency.time_networks({"convnext": latency.ready(CONVNEXT)}, pixels=20)


def test_tables_are_read_as_they_were_written(tmp_path, monkeypatch):
    card = {
        "date": "2026-01-02",
        "device": "CPU, 2 cores",
        "peaks": {"name": "a", "flops_per_s": {"float32": 1e11}, "bytes_per_s": 1e10,
                  "source": "measured", "launch": 0.0},
    }  # fmt: skip
    rows = [Timed("a", 8, 224, "layer", "stem.0", 0.25, 0.125, 0.5, 7)]
    groups = [GroupTimed(56, 64, 8, 1, 0.25, 0.125, 0.5, 7)]
    recorded.write(tmp_path, "latencies", rows, card)
    recorded.write(tmp_path, "groups", groups, card)
    monkeypatch.setattr(recorded.shipped, "path", lambda name: tmp_path / name.rpartition("/")[2])
    for name, kind, wanted in (("latencies", Timed, rows), ("groups", GroupTimed, groups)):
        found = recorded._read(name, kind)
        assert found.rows == wanted and found.where == "CPU, 2 cores, 2026-01-02"
        assert found.peaks == Peaks("a", {"float32": 1e11}, 1e10, "measured")
