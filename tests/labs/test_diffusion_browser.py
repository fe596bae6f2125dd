"""The diffusion lab in Chromium: one screen high, folded rows open, lists that fit are offered."""

from collections.abc import Callable
from importlib.util import find_spec

import pytest

from tests.artifacts import artifacts
from tests.labs.test_plan_editor_browser import OVERFLOWING
from tests.panels.panel_host import Host
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels.panel import Panel

pytestmark = [
    pytest.mark.usefixtures("workbench_home"),
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]

TALLEST, MAIN = 1300, (290, 305)
"""Pixels: of a panel 1096 wide, and of its main chart."""


def heights(host: Host, selector: str) -> list[float]:
    script = "(all) => all.map((e) => e.getBoundingClientRect().height).filter(Boolean)"
    return list(host.page.locator(selector).evaluate_all(script))


def test_the_first_screen_is_as_high_as_a_panel_may_be(show: Callable[..., Host]) -> None:
    host = show(DiffusionView(), 3)
    host.pump(1.0)
    (panel,) = heights(host, ".wb-panel")
    (main,) = heights(host, "[data-slot=time_quality] svg.marks")
    assert panel <= TALLEST and MAIN[0] <= main <= MAIN[1], (panel, main)
    assert set(heights(host, ".wb-slot-title")) == {18.0}, "a title that wraps"
    side = "() => document.querySelector('.wb-side').getBoundingClientRect().bottom"
    last = "() => document.querySelector('.wb-claim').getBoundingClientRect().bottom"
    assert host.page.evaluate(side) - host.page.evaluate(last) < 60, "an empty column"
    assert host.page.evaluate(OVERFLOWING) == []
    host.page.locator(".wb-panel").screenshot(path=str(artifacts() / "diffusion-lab.png"))


def test_folded_rows_open_and_are_drawn_at_their_width(show: Callable[..., Host]) -> None:
    host = show(DiffusionView(), 3, width=844)
    page = host.page
    assert not page.locator("[data-slot=scoreboard]").is_visible()
    for name in ("When does each plan leave", "What does each plan keep and cost"):
        fold = page.get_by_role("button", name=name)
        assert fold.get_attribute("aria-expanded") == "false"
        fold.click()
        assert fold.get_attribute("aria-expanded") == "true"
    host.pump(0.5)
    for slot in ("error", "spectrum"):
        (drawn,) = page.locator(f"[data-slot={slot}] svg.marks").all()
        box, place = drawn.bounding_box(), page.locator(f"[data-slot={slot}]").bounding_box()
        assert box and place and abs(box["width"] - place["width"]) < 4
    assert page.locator("[data-slot=scoreboard] tbody tr:visible").count() == 4
    assert page.evaluate(OVERFLOWING) == []
    frame = page.locator("[data-slot=scoreboard] .wb-table-frame")
    for width, columns in ((1096, 9), (1180, 13)):
        page.evaluate(f"document.getElementById('host').style.width = '{width}px'")
        host.pump(0.3)
        assert frame.evaluate("(e) => e.scrollWidth - e.clientWidth") <= 0, width
        assert frame.locator("th:visible").count() == columns


def test_a_list_is_offered_in_runs_as_long(host_of: Callable[..., Host]) -> None:
    host = host_of(Panel(DiffusionView(), quiet=3600))
    script = "(e) => [...e.options].filter((o) => !o.hidden && !o.disabled).map((o) => o.text)"
    select = host.page.get_by_label("Key steps", exact=True)

    def offered() -> list[str]:
        return [name for name in select.evaluate(script) if "(IF" in name]

    assert offered() == ["s2 (IF 2)"]
    steps = host.page.get_by_role("textbox", name="Steps, value", exact=True)
    steps.fill("100")
    steps.press("Enter")
    host.until(lambda: offered() == ["100ls (IF 1)"])
