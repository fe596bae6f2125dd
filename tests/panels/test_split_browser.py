"""The split viewer in Chromium: lines, difference, enlarging, three pictures."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from tests.panels.panel_demo import DemoView, worn
from tests.panels.panel_host import Host
from workbench.panels.panel import Panel
from workbench.panels.picture import SplitContent

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


@pytest.fixture
def show(host_of: Callable[..., Host]) -> Callable[..., Host]:
    def open_panel(view: Any = None) -> Host:
        host = host_of(Panel(view or DemoView(), quiet=0.1))
        host.until(lambda: host.page.locator(".wb-thumb img").count() > 0)
        host.pump(0.2)
        return host

    return open_panel


def test_the_split_viewer_moves_and_subtracts(show: Callable[..., Host]) -> None:
    host = show()
    split = host.page.get_by_role("slider", name="Divider between Full and Encoder propagation")
    split.focus()
    for key, at in (("ArrowRight", 51), ("Shift+ArrowLeft", 41), ("Home", 0), ("End", 100)):
        split.press(key)
        assert split.get_attribute("aria-valuenow") == str(at)
    split.press("Backspace")
    assert split.get_attribute("aria-valuenow") == "50"
    stage = host.page.locator(".wb-split")
    box = stage.bounding_box()
    host.page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 20)
    assert split.get_attribute("aria-valuenow") == "25"
    host.page.get_by_role("button", name="Difference", exact=True).click()
    assert host.text(".wb-tag") == "Difference × 4"
    total = host.page.evaluate(
        "() => { const c = document.querySelector('.wb-difference');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".reduce((a, b) => a + b, 0) - 255 * c.width * c.height; }"
    )
    assert total > 0


PLACED = """() => { const style = getComputedStyle(document.querySelector('.wb-split-side img'));
  const m = new DOMMatrix(style.transform); return [m.a, m.e, m.f]; }"""


def test_the_split_viewer_enlarges_and_moves(show: Callable[..., Host]) -> None:
    host = show()
    stage = host.page.locator(".wb-split")

    def seen() -> list[float]:
        """Scale and shift of the pictures."""
        return list(host.page.evaluate(PLACED))

    enlarge = host.page.get_by_role("button", name="Enlarge")
    ink, paper = enlarge.evaluate(
        "(e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    )
    assert ink != paper
    enlarge.click()
    side = stage.bounding_box()["width"]
    assert seen() == pytest.approx([2, -side / 2, -side / 2], abs=1)
    stage.focus()
    stage.press("ArrowLeft")  # a tenth of what is seen
    assert seen()[1] == pytest.approx(-0.4 * side, abs=1)
    box = stage.bounding_box()
    host.page.mouse.move(box["x"] + 0.2 * side, box["y"] + 0.5 * side)
    host.page.mouse.down()
    host.page.mouse.move(box["x"] + 0.4 * side, box["y"] + 0.3 * side)
    host.page.mouse.up()
    assert seen()[1:] == pytest.approx([-0.2 * side, -0.7 * side], abs=2)
    stage.press("-")
    assert seen() == [1, 0, 0]


class ThreePictures(DemoView):
    def _split(self, row: int, seed: int) -> SplitContent:
        pictures = [worn(seed, share) for share in (0.0, 0.1, 0.2)]
        return SplitContent("Three", pictures, ("low", "mid", "high"))


def test_three_pictures_have_two_lines(show: Callable[..., Host]) -> None:
    host = show(ThreePictures())
    lines = host.page.locator(".wb-split [role=slider]")
    assert lines.count() == 2
    assert [lines.nth(i).get_attribute("aria-valuenow") for i in (0, 1)] == ["33", "67"]
    lines.first.press("End")  # not past its neighbour
    assert lines.first.get_attribute("aria-valuenow") == "67"
    clips = host.page.evaluate(
        "() => [...document.querySelectorAll('.wb-split-side')].map(s => s.style.clipPath)"
    )
    assert clips[0] == "inset(0px 33% 0px 0%)"
    assert clips[2] == "inset(0px 0% 0px 67%)"
    assert host.page.locator(".wb-tag:visible").all_inner_texts() == ["low", "high"]
