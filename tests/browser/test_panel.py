"""The panel in real JupyterLab: it lives, keeps its keys from Lab, and survives a reload."""

from tests.browser.server import ROOT

CELL = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.panels.panel_demo import DemoView
from workbench.panels import Panel
panel = Panel(DemoView())
panel"""

CELLS = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
WIDTHS = """() => [...document.querySelectorAll(".wb-chart")].map((chart) =>
  [chart.clientWidth, Math.round(chart.querySelector("svg").getBoundingClientRect().width)])"""
KIND = "() => document.querySelector('.wb-status').dataset.state"


def opened(lab_page):
    lab = lab_page([CELL])
    lab.run_all()
    lab.output("[data-slot=pareto] svg.marks .mark-symbol path").first.wait_for()
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.wb-thumb img')].filter(i => i.naturalWidth).length"
        " === 32"
    )
    return lab


def test_a_slider_runs_the_kernel(lab_page):
    lab = opened(lab_page)
    assert lab.page.evaluate(KIND) == "idle"
    lab.page.get_by_role("slider", name="Largest group").press("ArrowLeft")
    lab.page.wait_for_function("() => document.querySelector('[data-state=done]')")
    assert lab.page.get_by_label("Largest group, value").input_value() == "14"
    assert lab.output_errors() == []


def test_no_key_reaches_the_notebook(lab_page):
    lab = opened(lab_page)
    before = lab.page.evaluate(CELLS)
    stops = lab.page.locator(
        ".wb-panel :is(button, input, select, summary, [tabindex='0']):not([tabindex='-1'])"
    )
    pressed = 0
    for index in range(stops.count()):
        stop = stops.nth(index)
        if not stop.is_visible():
            continue
        stop.focus()
        for key in ("b", "x", "ArrowDown", "a"):
            lab.page.keyboard.press(key)
        lab.page.keyboard.press("Escape")
        pressed += 1
        assert lab.page.evaluate(CELLS) == before, stop.evaluate("e => e.outerHTML")[:200]
    assert pressed > 40


def test_a_second_view_shows_the_same_settings_and_pictures(lab_page):
    lab = opened(lab_page)
    lab.page.get_by_role("slider", name="Interval").press("ArrowRight")
    lab.page.get_by_role("button", name="Pin").click()
    lab.page.wait_for_function("() => document.querySelector('[data-state=done]')")
    lab.command("notebook:create-output-view")
    lab.page.wait_for_function("() => document.querySelectorAll('.wb-panel').length === 2")
    second = lab.page.locator(".wb-panel").nth(1)
    second.locator("[data-slot=pareto] svg.marks").wait_for()
    assert second.get_by_label("Interval, value").input_value() == "6"
    assert second.locator(".wb-chip").count() == 1


def test_a_reload_brings_back_settings_and_pictures(lab_page):
    lab = opened(lab_page)
    lab.page.get_by_role("slider", name="Interval").press("ArrowRight")
    lab.page.wait_for_function("() => document.querySelector('[data-state=done]')")
    lab.command("docmanager:save")
    lab.page.goto(lab.page.url.replace("&reset", "").replace("?reset", ""))
    lab.output("[data-slot=pareto] svg.marks .mark-symbol path").first.wait_for(timeout=60_000)
    assert lab.page.get_by_label("Interval, value").input_value() == "6"
    assert lab.page.evaluate(KIND) == "done"
    assert lab.output(".wb-thumb img[src]").count() == 32


def test_both_themes(lab_page):
    lab = opened(lab_page)
    for height in (900, 2300):
        lab.page.set_viewport_size({"width": 1440, "height": height})
        lab.page.wait_for_timeout(500)
        wide = lab.page.evaluate(WIDTHS)
        assert all(drawn <= room + 1 for room, drawn in wide), wide
    seen = {}
    for theme in ("light", "dark"):
        lab.theme(theme)
        seen[theme] = lab.page.evaluate(
            "() => getComputedStyle(document.querySelector('.wb-panel')).backgroundColor"
        )
        lab.screenshot(f"panel-{theme}", ".wb-panel")
    assert seen["light"] != seen["dark"]


def test_a_kernel_that_is_gone_is_said(lab_page):
    lab = opened(lab_page)
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()"
    )
    lab.page.wait_for_function(
        "() => document.querySelector('.wb-state').textContent.startsWith"
        "('The kernel is not running')",
        timeout=15_000,
    )
