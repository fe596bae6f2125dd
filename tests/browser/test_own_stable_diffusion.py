"""The plan editor and text to image in JupyterLab: keys stay in the grid, a small model draws."""

from pathlib import Path

import pytest

from tests.browser.panel_in_lab import CELLS, ask, until_state, words
from tests.labs import small_text_model

EDITOR = """from workbench.labs import diffusion
editor = diffusion.plan_editor()
editor"""
DRAW = """import os
os.environ["WORKBENCH_HOME"] = {home!r}
from workbench.labs import diffusion
panel = diffusion.text_to_image(settings={{
    "checkpoint": {{"path": {model!r}}}, "prompt": {{"prompt": "the cat"}},
    "drawing": {{"steps": 3, "count": 1}},
}})
panel"""


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> Path:
    return small_text_model.write(tmp_path_factory.mktemp("text-model") / "small")


def test_keys_paint_and_no_cell_is_added(lab_page):
    lab = lab_page([EDITOR, "pass"])
    lab.run_all()
    grid = lab.output(".wb-paint")
    grid.wait_for(timeout=60_000)
    lab.output("[role=radio]:has-text('Decode')").click()
    cells = lab.page.evaluate(CELLS)
    grid.focus()
    for key in ("ArrowRight", "ArrowDown", "Space", "b", "x", "ArrowDown"):
        lab.page.keyboard.press(key)
    lab.page.wait_for_function(
        "() => document.querySelectorAll('.wb-paint-row')[1].children[2].dataset.cell === '1'",
        timeout=60_000,
    )
    assert lab.page.evaluate(CELLS) == cells
    assert ask(lab, "editor.plan.actions[:3]") == "('full', 'decode', 'full')"
    assert lab.output(".wb-paint-cell[data-at]").get_attribute("aria-label").startswith("step 1, ")
    lab.page.keyboard.press("u")
    until_state(lab, "idle", timeout=60)
    assert lab.errors == [] and lab.output_errors() == []


def test_a_checkpoint_draws(lab_page, small_model, tmp_path):
    from workbench.labs.diffusion import settings_in

    lab = lab_page([DRAW.format(home=str(tmp_path / "home"), model=str(small_model))])
    lab.run_all()
    assert until_state(lab, "empty", timeout=60) == "empty"
    lab.output(".wb-status button:visible").last.click()
    assert until_state(lab, "done", "error") == "done", words(lab)
    lab.page.wait_for_function(
        "() => document.querySelector('.wb-large')?.naturalWidth === 16", timeout=60_000
    )
    assert lab.output("[data-slot=seconds] .wb-piece").count() == 6
    assert lab.output("[data-slot=memory] .wb-piece-free").count() == 2
    with lab.page.expect_download(timeout=60_000) as found:
        lab.output("button:has-text('Save picture')").click()
    assert settings_in(found.value.path())["prompt"] == "the cat"
    assert lab.errors == [] and lab.output_errors() == []
