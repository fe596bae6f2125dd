"""The shipped notebooks, run as a newcomer runs them, and how they look."""

import pytest

from tests.browser.panel_in_lab import (
    ask,
    box,
    drawn,
    marks,
    slider,
    state,
    until_changed,
    until_state,
    words,
)
from tests.panels.legibility import CUT, OVERFLOWING

LOADED = "sorted({'jax', 'flax', 'optax'} & set(__import__('sys').modules))"


def test_start_shows_its_picture_before_any_model(lab_page):
    lab = lab_page("start.ipynb")
    lab.run_all()
    drawn(lab)
    assert ask(lab, LOADED) == "[]"
    assert lab.output_errors() == [] and state(lab) == "idle"
    assert words(lab).startswith("Shipped result, measured 20")
    assert len(marks(lab)) > 8
    assert lab.output("[data-slot=drift] svg.marks path").count() > 50
    assert lab.output("[data-slot=arithmetic] svg.marks path").count() > 5
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.wb-thumb img, .wb-split img[alt=Full]')]"
        ".every((image) => image.naturalWidth === 16)"
    )
    assert lab.output(".wb-thumb img").count() == 32
    assert lab.output(".wb-claim, [class*=claim]").count()
    assert ask(lab, LOADED) == "[]"
    assert lab.output("button.wb-pill").count() == 3
    strip = lab.output().get_by_role("listbox", name="My key steps")
    assert strip.get_by_role("option", selected=True).count() == 9

    # A preset is another recorded answer: other marks, no run, still no model.
    before = marks(lab)
    lab.output("button.wb-pill").nth(2).click()
    until_changed(lab, before)
    assert until_state(lab, "idle", timeout=5) == "idle"
    assert ask(lab, LOADED) == "[]"


def test_sliders_change_the_picture_at_once_and_then_run(lab_page):
    lab = lab_page("start.ipynb")
    lab.run_all()
    drawn(lab)
    before = marks(lab)
    knob = slider(lab, "Interval").last
    knob.press("ArrowRight")
    by_key = until_changed(lab, before, timeout=40)
    until_state(lab, "predicted", "running", "compiling", timeout=10)
    assert box(lab, "Interval").last.input_value() == "6"
    knob.scroll_into_view_if_needed()
    place = knob.bounding_box()
    lab.page.mouse.move(place["x"] + place["width"] * 0.4, place["y"] + place["height"] / 2)
    lab.page.mouse.down()
    lab.page.mouse.move(
        place["x"] + place["width"] * 0.8, place["y"] + place["height"] / 2, steps=5
    )
    by_mouse = until_changed(lab, by_key, timeout=40)  # while the button is still held
    lab.page.mouse.up()
    assert int(box(lab, "Interval").last.input_value()) > 10
    # The run of the first move ends at its next report, and it may be loading the model.
    assert until_state(lab, "running", "compiling", timeout=200)
    lab.page.keyboard.press("Escape")
    until_state(lab, "stopped", "done", timeout=120)
    assert len({str(before), str(by_key), str(by_mouse)}) == 3
    assert lab.output_errors() == []


def test_diffusion_notebook_runs_through(lab_page):
    lab = lab_page("diffusion.ipynb")
    lab.run_all(timeout=400)
    drawn(lab)
    assert lab.output_errors() == []
    panels = lab.output(".wb-panel")
    assert panels.count() == 5
    own = panels.nth(1)
    assert own.get_by_role("group", name="Full, then shallow").count() == 1
    assert lab.output("table").filter(has_text="Encoder propagation").count()
    assert panels.nth(2).get_by_role("grid", name="Steps by blocks").count() == 1
    pairs = panels.nth(4)
    pairs.get_by_role("group", name="Blind comparison; arrow keys choose").wait_for()
    lab.screenshot("diffusion-notebook")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_how_it_looks(lab_page, theme):
    lab = lab_page("start.ipynb")
    lab.theme(theme)
    lab.run_all()
    drawn(lab)
    for width in (1440, 1024):
        lab.page.set_viewport_size({"width": width, "height": 900})
        lab.page.wait_for_timeout(400)
        lab.screenshot(f"start-{theme}-{width}")
        tall = lab.output(".wb-panel").first.bounding_box()["height"]
        lab.page.set_viewport_size({"width": width, "height": round(tall) + 400})
        lab.page.wait_for_timeout(800)
        assert lab.page.evaluate(OVERFLOWING) == []
        assert lab.page.evaluate(CUT) == []
        picture = lab.screenshot(f"start-panel-{theme}-{width}", ".wb-panel")
        assert picture.stat().st_size > 50_000
    assert lab.errors == []


def test_trained_diffusion_notebook_runs_through(lab_page):
    lab = lab_page("trained_diffusion.ipynb")
    lab.run_all(timeout=400)
    lab.output(".wb-part").first.wait_for()
    assert lab.output_errors() == []
    panels = lab.output(".wb-panel")
    assert panels.count() == 3
    lines = panels.nth(0).locator(".wb-split [role=slider]")
    assert lines.count() == 2
    lines.first.press("Shift+ArrowRight")
    assert lines.first.get_attribute("aria-valuenow") == "43"
    panels.nth(1).get_by_text("one pass, K = 4").first.wait_for()
    part = panels.nth(2).locator(".wb-part[data-state=kept]").first
    name = part.get_attribute("data-id")
    part.click()
    panels.nth(2).locator(f".wb-part[data-id='{name}'][data-state=gone]").wait_for()
    assert lab.output("table").filter(has_text="Model assembly").count()
    lab.screenshot("trained-diffusion-notebook")


def test_convnets_notebook_runs_through(lab_page):
    lab = lab_page("convnets.ipynb")
    lab.run_all(timeout=400)
    lab.output("[data-slot=gap] svg.marks .mark-symbol path").first.wait_for(timeout=60_000)
    assert lab.output_errors() == []
    panels = lab.output(".wb-panel")
    assert panels.count() == 5
    gap, water, own, sizes = (panels.nth(number) for number in range(4))
    # A click on a point opens its waterline.
    words_of = gap.locator("[data-slot=water]")
    before = words_of.inner_text()
    plot = gap.locator("[data-slot=gap] .wb-chart-plot")
    plot.focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "Enter"):
        plot.press(key)
    lab.page.wait_for_function(
        "([panel, before]) => panel.innerText !== before",
        arg=[words_of.element_handle(), before],
    )
    marks_of = water.locator("[data-slot=water] svg.marks path")
    serial = marks_of.count()
    water.get_by_role("combobox", name="Kernels").select_option(label="Block-fused")
    lab.page.wait_for_function(
        "([panel, n]) => panel.querySelectorAll('[data-slot=water] svg.marks path').length < n",
        arg=[water.element_handle(), serial],
    )
    own.locator("[data-slot=costs] table").filter(has_text="Wide").wait_for()
    sizes.get_by_label("Group size G", exact=True).select_option(label="16")
    sizes.get_by_text("Is G = 16 better than g = 32?").wait_for()
    assert lab.output("table").filter(has_text="groups of 8").count()
    lab.screenshot("convnets-notebook")
