"""The language lab's panels in a browser: the first picture, a knob moved by key, an export."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from tests.panels.panel_host import Host
from workbench.labs.language import recorded, shelf
from workbench.labs.language.cost_view import CostView
from workbench.labs.language.decode_run import Written
from workbench.labs.language.decode_view import DecodeView
from workbench.labs.language.gate_memory import Gates, Head, LayerGates
from workbench.labs.language.gates_form import PROSE
from workbench.labs.language.gates_view import GatesView
from workbench.labs.language.recall_view import RecallView
from workbench.labs.language.ternary_view import TernaryView
from workbench.labs.language.train_view import TrainView

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


def test_costs_follow_a_key_and_leave_as_a_file(show: Callable[..., Host]) -> None:
    host = show(CostView(), 3)
    assert host.page.locator("[data-slot=crossings] tbody tr").count() >= 4
    before = host.text("[data-slot=crossings]")
    knob = host.page.get_by_role("slider", name="Width", exact=True)
    knob.focus()
    knob.press("Shift+ArrowLeft")
    host.until(lambda: host.text("[data-slot=crossings]") != before, 20)
    assert host.panel.settings["layer"]["width"] < 1024
    host.page.get_by_role("button", name="Export").click()
    with host.page.expect_download() as download:
        host.page.get_by_role("menuitem", name="Table").click()
        host.pump(2.0)
    assert download.value.suggested_filename == "where-linear-wins.csv"


@pytest.mark.parametrize(("view", "charts"), [(RecallView, 2), (TernaryView, 1), (TrainView, 0)])
def test_the_first_picture_is_there(show: Callable[..., Host], view: Any, charts: int) -> None:
    host = show(view(), charts, width=844)
    assert host.page.locator(".wb-claim").count() == 1
    wide = "() => document.querySelector('.wb-panel').scrollWidth"
    assert host.page.evaluate(wide) <= 844


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped model by its shape, with what was recorded of it."""
    from workbench.language.published import PUBLISHED

    book = shelf.Book("A model", "nowhere", PUBLISHED["gla-340m"])
    monkeypatch.setattr(shelf, "shipped_books", lambda: [book])
    monkeypatch.setattr(shelf.Book, "weight_bytes", lambda book: 1e9)
    head = Head(30.0, 10.0, 90.0, [10.0, 90.0], [0.9, 0.8])
    layers = [LayerGates(layer, [head] * 4) for layer in range(3)]
    gates = recorded.RecordedGates(Gates(["a", "b"], layers), "CPU", "1 May")
    written = [vars(Written("A model", "of names.", [1] * 40, [0.1] * 40, 10, 10, 5))]
    text = recorded.RecordedText(written, "CPU", "1 May")
    monkeypatch.setattr(recorded, "gates", lambda name, text: gates if text == PROSE else None)
    monkeypatch.setattr(recorded, "text", lambda knobs, names: text)


def test_a_recorded_text_stands_after_its_prompt(show: Callable[..., Host], opened: None) -> None:
    host = show(DecodeView(), 2)
    box = host.page.get_by_role("region", name="Text of A model")
    assert box.inner_text() == "The function returns a list of of names."
    assert box.get_attribute("data-lm-suppress-shortcuts") == "true"
    assert host.page.locator(".wb-cursor:visible").count() == 0
    assert host.text(".wb-status .wb-state") == "Shipped result, measured 1 May"


def test_a_head_that_is_chosen_shows_its_layer(show: Callable[..., Host], opened: None) -> None:
    host = show(GatesView(), 3)
    assert host.page.locator("[data-slot=heads] .mark-symbol path").count() >= 12
    knob = host.page.get_by_role("slider", name="Layer", exact=True)
    knob.focus()
    knob.press("ArrowRight")
    host.until(lambda: "layer 2" in host.text("[data-slot=channels] h3"), 20)
