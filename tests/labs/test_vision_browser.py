"""The vision lab in a browser: a point chosen by key opens its waterline, and nothing overflows."""

from collections.abc import Callable
from importlib.util import find_spec

import pytest

from tests.panels.panel_host import Host
from workbench.labs.vision.gap_view import GapView
from workbench.labs.vision.waterline_view import WaterlineView

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


def test_a_point_chosen_by_key_opens_its_waterline(show: Callable[..., Host]) -> None:
    host = show(GapView(), 2)
    plot = host.page.locator("[data-slot=gap] .wb-chart-plot")
    plot.focus()
    before = host.panel.settings["shown"]["network"]
    plot.press("ArrowRight")
    for _ in range(12):
        spoken = host.text("[data-slot=gap] .wb-chart-spoken")
        if "ResNet" in spoken:
            break
        plot.press("ArrowUp")
    assert "Milliseconds a picture" in spoken and "Top-1" in spoken
    plot.press("Enter")
    host.until(lambda: host.panel.settings["shown"]["network"] != before, 10)
    network = host.panel.settings["shown"]["network"]
    name = host.panel.view.predict(host.panel.values).contents["water"].subtitle.split(",")[0]
    host.until(lambda: name in host.text("[data-slot=water]"), 10)
    assert network in host.panel.state["shown"]["network"]


def test_a_peak_of_zero_is_said_beside_its_box(show: Callable[..., Host]) -> None:
    host = show(WaterlineView(), 1, width=844)
    box = host.page.get_by_role("textbox", name="Peak, TFLOP/s")
    box.fill("0")
    box.press("Enter")
    host.until(lambda: "Peak, TFLOP/s must be between" in host.text(".wb-panel"), 10)
    wide = "() => document.querySelector('.wb-panel').scrollWidth"
    assert host.page.evaluate(wide) <= 844
