"""The kernel lab as a newcomer opens it: the roofline at once, times after, in both themes."""

import pytest

from tests.browser.panel_in_lab import healthy, slider, until_state
from tests.browser.test_lab_notebooks import CUT, OVERFLOWING

ROOF = "[data-slot=roof] svg.marks .mark-symbol path"


def opened(lab):
    lab.run_all(timeout=200)
    healthy(lab)
    lab.output(ROOF).first.wait_for()


def places(lab):
    found = lab.output(ROOF)
    return [found.nth(k).get_attribute("transform") for k in range(found.count())]


def test_kernels_notebook_runs_through(lab_page):
    lab = lab_page("kernels.ipynb")
    opened(lab)
    assert lab.output("[data-slot=roof] svg.marks path").count() > 5
    assert lab.output("[data-slot=accuracy] svg.marks path").count() > 10
    assert lab.output("[data-slot=compiled] table tr").count() > 2
    before = places(lab)
    slider(lab, "Value width").first.press("ArrowLeft")
    lab.page.wait_for_timeout(1000)
    assert places(lab) != before
    until_state(lab, "running", "compiling", "done", timeout=40)
    until_state(lab, "done", timeout=200)
    assert lab.output("[data-slot=times] table").filter(has_text="timed").count()
    assert lab.output_errors() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_how_the_kernel_lab_looks(lab_page, theme):
    lab = lab_page("kernels.ipynb")
    lab.theme(theme)
    opened(lab)
    for width in (1440, 1000):
        lab.page.set_viewport_size({"width": width, "height": 900})
        lab.page.wait_for_timeout(400)
        tall = lab.output(".wb-panel").first.bounding_box()["height"]
        lab.page.set_viewport_size({"width": width, "height": round(tall) + 400})
        lab.page.wait_for_timeout(800)
        assert lab.page.evaluate(OVERFLOWING) == []
        assert lab.page.evaluate(CUT) == []
        lab.screenshot(f"kernels-panel-{theme}-{width}", ".wb-panel")
    assert lab.errors == []
