"""What travels between kernel and browser: pictures once, files, code, and nothing unchanged."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.panels.panel_bench import Bench
from tests.panels.panel_demo import DemoView
from tests.panels.panel_demo import claim as claim_card
from workbench.panels.picture import ClaimRow, Picture
from workbench.panels.stage import difference
from workbench.panels.view import Values

Make = Callable[..., Bench]


def test_images_travel_once_and_as_bytes(make: Make) -> None:
    bench = make()
    bench.say("hello")
    first = [b for message, buffers in bench.sent for b in buffers]
    assert len(first) > 32 and all(b.startswith(b"\x89PNG") for b in first)
    text = json.dumps([message for message, _ in bench.sent])
    assert "base64" not in text
    bench.sent.clear()
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "done")
    assert [b for _, buffers in bench.sent for b in buffers] == []


def test_the_first_picture_needs_no_answer_of_the_kernel(make: Make) -> None:
    bench = make()
    opening = bench.panel.opening
    assert set(opening["slots"]) >= {"pareto", "split", "images", "figures", "claim"}
    assert len(opening["images"]) > 32
    assert all(data.startswith(b"\x89PNG") for data in opening["images"].values())
    bench.sent.clear()
    bench.say("hello", images=list(opening["images"]), opened=True)
    assert bench.sent == []
    bench.move("encoder", "group", 8)
    assert bench.panel.opening == {}
    bench.until(lambda: bench.kind() == "done")
    bench.sent.clear()
    bench.say("hello", images=[], opened=True)
    assert set(bench.slots()) >= {"pareto", "split", "images", "figures", "claim"}


def test_a_reopened_page_gets_the_whole_picture(make: Make) -> None:
    bench = make()
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "done")
    bench.sent.clear()
    bench.say("hello", images=[])
    assert set(bench.slots()) >= {"pareto", "split", "images", "figures", "claim"}
    assert sum(len(buffers) for _, buffers in bench.sent) > 32


def test_a_move_sends_what_changed_and_names_what_is_kept(make: Make) -> None:
    bench = make()
    bench.raw.clear()
    bench.move("encoder", "group", 8)
    bench.until(lambda: bench.kind() == "done")
    charts = [
        content
        for message in bench.raw
        if message["type"] == "picture"
        for content in message["slots"].values()
        if content.get("kind") == "chart" or ["kind"] in content.get("kept", [])
    ]
    assert charts and all("kept" in chart for chart in charts)
    sent = len(json.dumps([message for message in bench.raw if message["type"] == "picture"]))
    assert sent < len(json.dumps(bench.known)) / 2
    bench.raw.clear()
    known = bench.known
    bench.say("hello", images=[])
    assert bench.known == known
    assert not any("kept" in slot for slot in bench.raw[-1]["slots"].values())


BEFORE = {"kind": "chart", "title": "a", "rows": {"live": [1], "gone": [2]}, "stale": False}


@pytest.mark.parametrize(
    ("now", "sent", "kept"),
    [
        ({**BEFORE, "stale": True}, {"stale": True}, [["kind"], ["title"], ["rows"]]),
        (
            {**BEFORE, "rows": {"live": [1], "new": [3]}},
            {"rows": {"new": [3]}},
            [["kind"], ["title"], ["rows", "live"], ["stale"]],
        ),
        (
            {**BEFORE, "rows": [1]},
            {"rows": [1]},
            [["kind"], ["title"], ["stale"]],
        ),
    ],
)
def test_difference(now: dict[str, Any], sent: dict[str, Any], kept: list[list[str]]) -> None:
    assert difference(BEFORE, now) == {**sent, "kept": kept}


def test_another_kind_is_sent_whole() -> None:
    table = {"kind": "table", "title": "a", "rows": [], "stale": False}
    assert difference(BEFORE, table) == table
    assert difference({}, BEFORE) == BEFORE


def test_code_and_export(make: Make) -> None:
    bench = make()
    bench.say("code")
    assert bench.sent[-1][0]["text"].startswith("from workbench")
    bench.say("export", kind="csv")
    bench.until(lambda: bench.sent[-1][0]["type"] == "file")
    assert bench.sent[-1] == ({"type": "file", "name": "figure.csv"}, [b"content of csv"])


def test_an_export_that_fails_says_so(make: Make) -> None:
    class Full(DemoView):
        def export(self, kind: str, values: Values, picture: Picture) -> tuple[str, bytes]:
            raise OSError("No space left on device")

    bench = make(Full())
    bench.say("export", kind="csv")
    bench.until(lambda: bench.sent != [] and bench.sent[-1][0]["type"] == "note")
    assert "No space left" in bench.sent[-1][0]["text"]


def test_the_bundle_is_widget_and_static_page(make: Make) -> None:
    bench = make(settings={"encoder": {"noise": 0.004}})
    data, _ = bench.panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    page = data["text/html"]
    assert "<svg" in page and "Run this notebook to change the settings" in page
    assert "Noise injection 0.004" in page and "reproduced in part" in page


def test_further_claims_stand_below_the_first(make: Make) -> None:
    view = DemoView()
    first = claim_card()
    second = replace(first, text="Another sentence.", rows=(ClaimRow("FLOP", "2 ×"),))
    view.predict = lambda values: Picture(claim=first, beside=(second,), basis="recorded")  # type: ignore[method-assign]
    bench = make(view)
    cards = bench.panel.opening["slots"]["claim"]["cards"]
    assert [card["text"] for card in cards] == [first.text, second.text]
    assert [row["what"] for row in cards[1]["rows"]] == ["FLOP"]
    page = bench.panel._repr_mimebundle_()[0]["text/html"]
    assert page.index("Propagating the encoder") < page.index("Another sentence.")


def test_the_widget_carries_one_module_and_one_sheet(make: Make) -> None:
    state = make().panel.get_state()
    assert state["_esm"].count("export default") == 1
    assert "\nimport " not in state["_esm"]
    assert "--wb-m9" in state["_css"] and ".wb-panel" in state["_css"]


def test_traits_are_set_only_when_they_change(make: Make) -> None:
    bench = make()
    seen: list[str] = []
    bench.panel.observe(lambda change: seen.append(change["name"]), names=["hints", "pins"])
    bench.move("encoder", "noise", 0.004)
    bench.move("encoder", "noise", 0.005)
    assert seen == []


def test_nan_is_left_out_of_the_rows(make: Make) -> None:
    class Gap(DemoView):
        def annotate(self, picture: Picture, values: Values, pins: Any) -> Picture:
            chart: Any = picture.contents["pareto"]
            rows = [{**chart.rows[0], "y": float("nan")}]
            return replace(picture, contents={"pareto": replace(chart, rows=rows)})

    bench = make(Gap())
    bench.say("hello")
    assert bench.slots()["pareto"]["rows"][0]["y"] is None
    json.dumps(bench.slots(), allow_nan=False)
