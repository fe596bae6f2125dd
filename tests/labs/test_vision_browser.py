"""The vision lab in a browser: all of its pages legible, and points and bars read by keys."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from tests.panels.legibility import CUT, CUT_LABELS, FAINT, GROUND, OVERFLOWING
from tests.panels.panel_host import Host
from workbench import vision as models
from workbench.labs.vision import families, own_block_view
from workbench.labs.vision.gap_view import GapView
from workbench.labs.vision.group_size_view import GroupSizeView
from workbench.labs.vision.own_block_view import OwnBlockView
from workbench.labs.vision.sparsity_view import SparsityView
from workbench.labs.vision.waterline_view import WaterlineView
from workbench.panels.settings import accepted, start
from workbench.progress import silent

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


@models.block
class Mine:
    def __init__(self, channels: int, make: Any):
        self.conv = make.conv(channels, channels, 3, groups=channels // 8)

    def __call__(self, x: Any) -> Any:
        return x + self.conv(x)


@pytest.fixture(scope="module")
def pages() -> dict[str, Any]:
    """Views that were asked before, so that each is counted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_block_view, "RIVALS", ("ConvNeXt",))
        mine = OwnBlockView(Mine)
        mine.prepare(accepted(mine, start(mine, None)), silent)
    return {
        "gap": (GapView(), 2),
        "waterline": (WaterlineView(), 1),
        "group size": (GroupSizeView(), 2),
        "sparsity": (SparsityView(), 1),
        "own block": (mine, 2),
    }


@pytest.mark.parametrize(("width", "light"), [(1096, True), (844, False)])
@pytest.mark.parametrize("name", ["gap", "waterline", "group size", "sparsity", "own block"])
def test_every_page_is_legible(
    show: Callable[..., Host], pages: dict[str, Any], name: str, width: int, light: bool
) -> None:
    view, charts = pages[name]
    host = show(view, charts, width=width, light=light)
    host.pump(0.2)
    red = int(host.page.evaluate(GROUND).removeprefix("rgb(").split(",")[0])
    assert red > 200 if light else red < 60
    for question in (OVERFLOWING, CUT, CUT_LABELS, FAINT):
        assert host.page.evaluate(question) == []


def test_both_claims_stand_in_the_knob_column(show: Callable[..., Host]) -> None:
    host = show(GapView(), 2)
    cards = host.page.get_by_role("region", name="Claim")
    assert cards.count() == 2
    assert "ConvFirst with block-fusion kernels" in cards.nth(1).inner_text()
    assert cards.nth(0).get_by_role("link").count() == 1
    assert cards.nth(1).get_by_role("link").count() == 0, "the same paper is named once"
    cards.nth(1).get_by_text("How it is judged").click()
    assert "Paper: block-fusion kernels" in cards.nth(1).inner_text()
    assert cards.nth(1).get_by_role("button", name="Copy BibTeX").is_visible()
    assert not cards.nth(0).get_by_role("button", name="Copy BibTeX").is_visible()


def test_a_long_choice_leaves_its_label_whole(show: Callable[..., Host]) -> None:
    view = GapView()
    host = show(view, 2, width=844)
    host.panel.load({"shown": {"network": "our_conv_first_large"}})
    host.until(lambda: "ConvFirst large" in host.text("[data-slot=water]"))
    assert host.page.evaluate(CUT_LABELS) == []


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
    assert name == families.name(network)
    host.until(lambda: name in host.text("[data-slot=water]"), 10)
    assert network in host.panel.state["shown"]["network"]


def test_bars_of_a_waterline_are_read_by_keys(show: Callable[..., Host]) -> None:
    """Left and right stay among kernels of one kind; each bar says its share and intensity."""
    host = show(WaterlineView(), 1)
    plot = host.page.locator("[data-slot=water] .wb-chart-plot")
    plot.focus()
    rows = host.panel.view.predict(host.panel.values).contents["water"].chart.rows["live"]
    first = next(row for row in rows if row["method"] == "Depthwise")
    spoken = ""
    for key in ("Home", *["ArrowUp"] * 6, *["ArrowDown"] * 6):
        plot.press(key)
        spoken = host.text("[data-slot=water] .wb-chart-spoken")
        if "Depthwise" in spoken:
            break
    plot.press("Home")
    assert first["label"] in host.text("[data-slot=water] .wb-chart-spoken")
    heard = []
    for _ in range(3):
        plot.press("ArrowRight")
        heard.append(host.text("[data-slot=water] .wb-chart-spoken"))
    wanted = [row["label"] for row in rows if row["method"] == "Depthwise"][1:4]
    assert all(label in told for label, told in zip(wanted, heard, strict=True))
    assert all("Share" in told and "Times slower" in told for told in heard)


def test_a_peak_of_zero_is_said_beside_its_box(show: Callable[..., Host]) -> None:
    host = show(WaterlineView(), 1, width=844)
    box = host.page.get_by_role("textbox", name="Peak, TFLOP/s")
    box.fill("0")
    box.press("Enter")
    host.until(lambda: "Peak, TFLOP/s must be between" in host.text(".wb-panel"), 10)
    assert host.page.evaluate(OVERFLOWING) == []
