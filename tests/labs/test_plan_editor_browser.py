"""The plan editor and text to image in Chromium: painted with keys and pointer, cost at once."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from tests.panels.legibility import OVERFLOWING
from tests.panels.panel_host import Host
from workbench.labs import diffusion
from workbench.panels.panel import Panel

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


@pytest.fixture
def show(host_of: Callable[..., Host]) -> Callable[..., Host]:
    def open_panel(panel: Panel, ready: str, **more: Any) -> Host:
        host = host_of(panel, **more)
        host.until(lambda: host.page.locator(ready).count() > 0, 60)
        return host

    return open_panel


def operations(host: Host) -> str:
    return host.page.locator(".wb-figure", has_text="Operations").locator("dd").first.inner_text()


def alert(host: Host) -> str:
    return host.page.locator("[role=alert]").text_content() or ""


def columns(host: Host) -> list[str]:
    return list(host.panel.hints["grids"]["paint"]["columns"])


def at(host: Host) -> str:
    """The cell the keyboard is on, as a screen reader names it."""
    host.pump(0.05)
    script = """() => {
      const grid = document.querySelector('.wb-paint');
      return document.getElementById(grid.getAttribute('aria-activedescendant')).ariaLabel;
    }"""
    return str(host.page.evaluate(script))


def test_painting_with_keys_and_pointer(show: Callable[..., Host]) -> None:
    host = show(diffusion.plan_editor(), ".wb-figure")
    page, grid = host.page, host.page.locator(".wb-paint")
    assert page.locator(".wb-paint-cell").count() == 50 * 9
    page.get_by_role("radio", name="Full", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Decode").get_attribute("aria-checked") == "true"

    # One step, then a run of three; the cost follows each.
    before = operations(host)
    grid.focus()
    assert at(host) == "step 0, conv_in: computed"
    for key in ("ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    host.until(lambda: columns(host)[1] == "decode")
    host.until(lambda: operations(host) != before)
    assert at(host) == "step 1, down.0: kept from step 0"
    one = operations(host)
    page.keyboard.press("ArrowRight")
    page.keyboard.down("Shift")
    page.keyboard.press("ArrowRight")
    page.keyboard.up("Shift")
    host.until(lambda: columns(host)[:5] == ["full", "decode", "decode", "decode", "decode"])
    host.until(lambda: operations(host) != one)
    assert page.evaluate("() => document.activeElement.className") == "wb-paint"

    # Taken back, cell by cell and by undo.
    page.keyboard.press("Enter")
    host.until(lambda: columns(host)[3] == "full")
    page.keyboard.press("u")
    host.until(lambda: columns(host)[3] == "decode")

    # Step 0 stays: the plan that cannot run is on the grid, its fault in one line.
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    host.until(lambda: alert(host).startswith("Step 0 must run in full"))
    assert page.locator(".wb-paint-cell[aria-invalid=true]").count() == 9
    page.keyboard.press("Space")
    host.until(lambda: host.panel.status["kind"] != "invalid")

    # The pointer paints what it passes over, however quickly.
    page.get_by_label("Lay over all steps").select_option(label="All steps in full")
    host.until(lambda: set(columns(host)) == {"full"})
    row = page.locator(".wb-paint-row").nth(3).locator(".wb-paint-cell")
    first, last = row.nth(10).bounding_box(), row.nth(15).bounding_box()
    page.mouse.move(first["x"] + 3, first["y"] + 8)
    page.mouse.down()
    page.mouse.move(last["x"] + 3, last["y"] + 8)
    page.mouse.up()
    host.until(lambda: columns(host)[9:17] == ["full", *["decode"] * 6, "full"])
    page.keyboard.press("u")

    page.get_by_role("button", name="Use in the comparison").click()
    host.until(lambda: "paste it into a cell" in host.text(".wb-status .wb-state"))
    assert "OwnPlan]" in page.evaluate("() => navigator.clipboard.readText()")


def test_a_plan_leaves_as_a_file(show: Callable[..., Host]) -> None:
    host = show(diffusion.plan_editor(), ".wb-figure")
    host.page.get_by_role("button", name="Export").click()
    with host.page.expect_download(timeout=60_000) as found:
        host.page.get_by_role("menuitem").filter(has_text="Plan.json").click()
        host.until(lambda: "Saved plan-json.json" in host.text(".wb-status .wb-state"), 60)
    assert '"full"' in found.value.path().read_text(encoding="utf-8")


def test_text_to_image_shows_saves_and_refuses(show: Callable[..., Host]) -> None:
    host = show(diffusion.text_to_image(), ".wb-gallery-strip img[src]")
    page = host.page
    host.until(lambda: page.locator(".wb-large").evaluate("image => image.naturalWidth") == 16)
    page.locator(".wb-gallery-strip [aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".wb-large").get_attribute("alt") == "seed 1"
    with page.expect_download(timeout=60_000) as found:
        page.get_by_role("button", name="Save picture").click()
        host.until(lambda: "Saved seed-1.png" in host.text(".wb-status .wb-state"), 60)
    assert diffusion.settings_in(found.value.path())["seed"] == 1
    path = page.get_by_role("textbox", name="Folder, file or hub name")
    path.fill("/no/such/folder")
    path.press("Enter")
    host.until(lambda: "nothing is at '/no/such/folder'" in alert(host))
    assert path.get_attribute("aria-invalid") == "true"
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    prompt.fill("two\nlines")
    prompt.press("Control+Enter")
    host.until(lambda: host.panel.settings["prompt"]["prompt"] == "two\nlines")
    steps = page.locator(".wb-row", has_text="Steps").locator("input").first
    steps.fill("12")
    steps.press("Enter")
    host.until(lambda: host.panel.settings["drawing"]["steps"] == 12)
    steps.fill("")
    steps.press("Enter")
    host.until(lambda: host.panel.settings["drawing"]["steps"] is None)


@pytest.mark.parametrize("width", [1176, 676])
def test_nothing_overflows(show: Callable[..., Host], width: int) -> None:
    panels = (diffusion.plan_editor(), diffusion.text_to_image(), diffusion.automatic_plan())
    for panel in panels:
        host = show(panel, ".wb-slot :is(img[src], svg.marks, .wb-button)", width=width)
        host.pump(0.5)
        assert host.page.evaluate(OVERFLOWING) == []
