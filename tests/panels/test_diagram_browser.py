"""The diagram in Chromium: what a click sends, arrows from box to box, what cannot go."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from tests.panels.panel_host import Host
from workbench.panels.diagram import Box, Diagram, Level, shade
from workbench.panels.painting import Stroke
from workbench.panels.panel import Panel
from workbench.panels.picture import DiagramContent, Picture
from workbench.panels.view import Hints, KnobGroup, Preset, Slot, Values, View
from workbench.study.knobs import Knobs, knob

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not here"),
]


class Dropped(Knobs):
    names: str = knob("", help="What is dropped.")


class Network(View):
    """Two levels and a middle; the outermost box cannot go."""

    title, study_line, automatic = "Network", "", False
    groups = (KnobGroup("dropped", "Dropped", Dropped),)
    presets = tuple(Preset(name, {}) for name in ("one", "two", "three"))
    layout = ((Slot("diagram", "diagram"),),)

    def hints(self, values: Values) -> Hints:
        names = self._names(values)

        def box(name: str, cost: float, fixed: bool = False) -> Box:
            state: Any = "fixed" if fixed else "gone" if name in names else "kept"
            return Box(name, name, state, shade(cost, 8), f"{cost:g} G", f"about {name}")

        levels = [
            Level("64 × 64", [box("in", 1, fixed=True)], [box("out", 8)]),
            Level("32 × 32", [box("down", 4)], [box("up", 5)], Box("stage", "32 × 32", "kept")),
        ]
        return Hints(diagrams={"diagram": Diagram(levels, [box("mid", 2)], ("0", "8 G"), "note")})

    def predict(self, values: Values) -> Picture:
        return Picture({"diagram": DiagramContent("Which part costs most?")}, basis="predicted")

    def paint(self, stroke: Stroke, values: Values) -> Any:
        names = self._names(values)
        [(_, name)] = stroke.cells
        left = [one for one in names if one != name] if stroke.erase else [*names, name]
        return {"dropped": {"names": " ".join(left)}}

    def _names(self, values: Values) -> list[str]:
        knobs: Any = values["dropped"]
        return str(knobs.names).split()


@pytest.fixture
def host(host_of: Callable[..., Host]) -> Host:
    found = host_of(Panel(Network(), quiet=0.05))
    found.until(lambda: found.page.locator(".wb-part").count() == 6)
    return found


def box(host: Host, name: str) -> Any:
    return host.page.locator(f".wb-part[data-id={name}]")


def focused(host: Host) -> str:
    return str(host.page.evaluate("document.activeElement.dataset.id"))


def test_a_click_drops_and_a_click_brings_back(host: Host) -> None:
    box(host, "down").click()
    host.until(lambda: box(host, "down").get_attribute("data-state") == "gone")
    assert box(host, "down").get_attribute("aria-pressed") == "true"
    assert "dropped" in box(host, "down").get_attribute("aria-label")
    box(host, "stage").click()
    host.until(lambda: host.panel.settings["dropped"]["names"] == "down stage")
    box(host, "down").press("Space")
    host.until(lambda: host.panel.settings["dropped"]["names"] == "stage")
    host.page.get_by_role("button", name="Undo").click()
    host.until(lambda: host.panel.settings["dropped"]["names"] == "down stage")


def test_what_cannot_go_says_why_and_stays(host: Host) -> None:
    box(host, "in").click(force=True)
    host.pump(0.3)
    assert host.panel.settings["dropped"]["names"] == ""
    assert host.page.locator(".wb-paint-at").inner_text() == "about in"
    assert box(host, "in").get_attribute("aria-disabled") == "true"


def test_arrows_go_from_box_to_box(host: Host) -> None:
    assert host.page.locator(".wb-part[tabindex='0']").count() == 1
    box(host, "in").focus()
    path = []
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        host.page.keyboard.press(key)
        path.append(focused(host))
    assert path == ["down", "stage", "up", "out", "in"]
    assert host.page.locator(".wb-part[tabindex='0']").count() == 1


def test_shades_follow_cost(host: Host) -> None:
    shades = {name: box(host, name).get_attribute("data-shade") for name in ("in", "up", "out")}
    assert shades == {"in": "1", "up": "5", "out": "7"}
    colour = "e => getComputedStyle(e).backgroundColor"
    seen = [box(host, name).evaluate(colour) for name in ("in", "up", "out")]
    assert len(set(seen)) == 3
    assert host.errors == []
